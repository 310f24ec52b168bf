"""Checkpoints: never half-written, the newest two kept, and what is wrong with one is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from safelight.errors import BadCheckpoint, BadInput
from safelight.training import checkpoint
from safelight.training.checkpoint import (
    checkpoints,
    load_checkpoint,
    optimiser_tensors,
    pack,
    restore_optimiser,
    save_checkpoint,
    unpack,
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    tensors = pack("weights", {"a.b": torch.randn(3, 2)}) | pack("average", {"a.b": torch.randn(2).bfloat16()})
    path = save_checkpoint(tmp_path, 7, tensors, {"step": 7})
    found, facts = load_checkpoint(path)
    assert facts == {"step": 7}
    for prefix in ("weights", "average"):
        torch.testing.assert_close(unpack(prefix, found), unpack(prefix, tensors), rtol=0, atol=0)


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (9, 10, 100, 2000):
        save_checkpoint(tmp_path, step, {"x": torch.zeros(1)}, {"step": step})
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000100.safetensors", "step-00002000.safetensors"]
    assert checkpoints(tmp_path / "absent") == []


def test_a_failed_write_leaves_the_others_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, 1, {"x": torch.ones(1)}, {"step": 1})

    def full(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(BadInput, match="cannot be written: No space left on device"):
        save_checkpoint(tmp_path, 2, {"x": torch.ones(1)}, {"step": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.safetensors"]


@pytest.mark.parametrize("damage", ["cut", "empty", "no facts"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    path = save_checkpoint(tmp_path, 1, {"x": torch.ones(100)}, {"step": 1})
    if damage == "no facts":
        checkpoint.save_file({"x": torch.ones(1)}, path)
    else:
        path.write_bytes(path.read_bytes()[: {"cut": -10, "empty": 0}[damage]])
    with pytest.raises(BadCheckpoint, match=r"step-00000001\.safetensors' cannot be read: .*Delete it to go on"):
        load_checkpoint(path)


def test_a_restored_optimiser_goes_on_as_if_nothing_had_happened() -> None:
    # Fused AdamW walks through memory: moments that lie there in another order than their weights are scrambled.
    def stepped(*, restored: bool) -> torch.Tensor:
        network = nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape))
        optimiser = torch.optim.AdamW(network.parameters(), lr=0.1, fused=True)
        for step in range(5):
            if restored and step == 3:
                stored = {name: tensor.contiguous().clone() for name, tensor in optimiser_tensors(optimiser).items()}
                optimiser = torch.optim.AdamW(network.parameters(), lr=0.1, fused=True)
                restore_optimiser(optimiser, stored)
            image = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(step))
            network(image.contiguous(memory_format=torch.channels_last)).square().sum().backward()
            optimiser.step()
            optimiser.zero_grad()
        return network.weight.detach()

    assert torch.equal(stepped(restored=True), stepped(restored=False))
