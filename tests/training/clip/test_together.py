"""Two processes that hold half of a batch each: the loss compares all its pairs, so the gradients are the whole's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, multiprocessing
from torch.utils.data import default_collate

from safelight.training.clip.settings import ClipLossConfig
from safelight.training.engine.noise import SampleNoise
from tests.training.tiny_tasks import clip_task

COUNT = 12
PROCESSES = 2
KINDS: tuple[Any, ...] = ("softmax", "sigmoid")


def gradients(folder: Path, kind: Any, indices: Sequence[int]) -> dict[str, Tensor]:
    """Of the loss of these samples, whose captions differ in length from process to process; with the loss itself."""
    task = clip_task(folder, loss=ClipLossConfig(kind=kind, at_once=4), white_share=0.5)
    loss = task.loss(default_collate([task.sample(index, Random(index)) for index in indices]), SampleNoise(0, indices))
    loss["loss"].backward()
    found = {name: weight.grad for name, weight in task.network.named_parameters() if weight.grad is not None}
    return {**found, "the loss": loss["loss"].detach()}


def one_of_several(rank: int, folder: Path) -> None:
    """What each process does: its share, and the mean of all gradients, as the loop takes it."""
    torch.set_num_threads(1)
    meet = f"file://{folder / 'meeting'}"
    distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=PROCESSES)
    for kind in KINDS:
        share = COUNT // PROCESSES
        found = gradients(folder, kind, range(rank * share, (rank + 1) * share))
        for gradient in found.values():
            distributed.all_reduce(gradient)
            gradient /= PROCESSES
        if rank == 0:
            save_file(found, folder / f"{kind}.safetensors")
    distributed.barrier()  # whoever leaves first would take the meeting place along
    distributed.destroy_process_group()


@pytest.mark.skipif(not distributed.is_available(), reason="this PyTorch was built without torch.distributed")
def test_the_gradients_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    multiprocessing.spawn(one_of_several, (tmp_path,), nprocs=PROCESSES)
    for kind in KINDS:
        together = load_file(tmp_path / f"{kind}.safetensors")
        for name, gradient in gradients(tmp_path, kind, range(COUNT)).items():
            torch.testing.assert_close(together[name], gradient, rtol=0, atol=2e-6, msg=f"{kind}: {name}")
