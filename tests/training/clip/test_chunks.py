"""A large batch in the memory of a small one: the same gradients, and less kept until they are computed."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import default_collate

from safelight.training.clip.chunks import in_chunks
from safelight.training.clip.settings import ClipLossConfig
from safelight.training.engine.noise import SampleNoise
from tests.training.tiny_tasks import clip_task

COUNT = 14


def gradients(folder: Path, kind: Any, at_once: int) -> tuple[dict[str, Tensor], int]:
    """Of one batch, and the bytes that its forward pass leaves behind for the backward pass."""
    task = clip_task(folder, loss=ClipLossConfig(kind=kind, at_once=at_once))
    batch = default_collate([task.sample(index, Random(index)) for index in range(COUNT)])
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = task.loss(batch, SampleNoise(0, range(COUNT)))["loss"]
    loss.backward()
    weights = {weight.untyped_storage().data_ptr() for weight in task.network.parameters()}
    found = {name: weight.grad for name, weight in task.network.named_parameters() if weight.grad is not None}
    assert found.keys() == dict(task.network.named_parameters()).keys()
    return found, sum(size for place, size in kept.items() if place not in weights)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_the_gradients_are_those_of_the_whole_batch(tmp_path: Path, kind: str) -> None:
    whole, kept_of_whole = gradients(tmp_path, kind, at_once=0)
    for at_once in (1, 4, COUNT):
        parts, kept = gradients(tmp_path, kind, at_once=at_once)
        for name, gradient in whole.items():
            torch.testing.assert_close(parts[name], gradient, rtol=0, atol=1e-6, msg=name)
        if at_once < COUNT:
            assert kept < kept_of_whole / 3


def test_only_a_chunk_is_embedded_at_a_time() -> None:
    seen = []

    def embed(one: Tensor, other: Tensor) -> Tensor:
        seen.append((len(one), len(other)))
        return one * other

    one = torch.arange(10.0)[:, None].requires_grad_()
    out = in_chunks(embed, 4, one, one.detach())
    assert seen == [(4, 4), (4, 4), (2, 2)]
    out.square().sum().backward()
    assert sorted(seen[3:]) == [(2, 2), (4, 4), (4, 4)]  # once more on the way back
    torch.testing.assert_close(out, one.detach() ** 2)
    assert in_chunks(embed, 0, one, one).shape == (10, 1)
    assert seen[-1] == (10, 10)
