"""Checkpoints: never half-written, a damaged one told by its checksum, and what is wrong with one is said."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from safelight.errors import BadCheckpoint, BadInput
from safelight.training.engine import checkpoint
from safelight.training.engine.checkpoint import (
    checkpoints,
    load_checkpoint,
    newest_whole,
    optimiser_tensors,
    pack,
    restore_optimiser,
    save_checkpoint,
    unpack,
)
from safelight.training.engine.disk import sweep
from tests.training.engine.failing_disk import FailingDisk


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    tensors = pack("weights", {"a.b": torch.randn(3, 2)}) | pack("average", {"a.b": torch.randn(2).bfloat16()})
    path = save_checkpoint(tmp_path, 7, tensors, {"step": 7}, keep=2)
    found, facts = load_checkpoint(path)
    assert facts == {"step": 7}
    for prefix in ("weights", "average"):
        torch.testing.assert_close(unpack(prefix, found), unpack(prefix, tensors), rtol=0, atol=0)


@pytest.mark.parametrize("keep", [2, 3])
def test_the_newest_are_kept(tmp_path: Path, keep: int) -> None:
    for step in (9, 10, 100, 2000):
        save_checkpoint(tmp_path, step, {"x": torch.zeros(1)}, {"step": step}, keep=keep)
    assert [path.stem for path in checkpoints(tmp_path)] == [f"step-{step:08d}" for step in (10, 100, 2000)[-keep:]]
    assert len(list(tmp_path.iterdir())) == keep
    assert checkpoints(tmp_path / "absent") == []


def test_a_failed_write_leaves_the_others_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkpoints"
    save_checkpoint(folder, 1, {"x": torch.ones(1)}, {"step": 1}, keep=2)

    def full(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(BadInput, match="cannot be written: No space left on device"):
        save_checkpoint(folder, 2, {"x": torch.ones(1)}, {"step": 2}, keep=2)
    assert [path.name for path in checkpoints(folder)] == ["step-00000001.safetensors"]
    sweep(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["step-00000001.safetensors"]


def test_a_checkpoint_reaches_the_disk_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"x": torch.ones(1)}, {}, keep=2)
    disk = FailingDisk(fails_at=100, recovers_at=0)
    with monkeypatch.context() as patch:
        disk.install(patch)
        save_checkpoint(tmp_path, 3, {"x": torch.ones(1)}, {}, keep=2)
    assert disk.changes == ["mkdir", "save_file", "fsync", "replace", "rmdir", "fsync", "unlink"]


def flipped(place: int) -> Callable[[bytes], bytes]:
    """One bit of the byte at `place` turned round."""
    return lambda content: (
        content[:place] + bytes([content[place] ^ 1]) + (content[place + 1 :] if place != -1 else b"")
    )


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[:-10],
    "empty": lambda content: b"",
    "zeros at the end": lambda content: content[:-8] + bytes(8),
    "a bit of the last weight": flipped(-1),
    "a bit in the middle": flipped(-200),
    "another step": lambda content: content.replace(b'step\\": 2', b'step\\": 3'),
    "another name": lambda content: content.replace(b'"x"', b'"y"'),
    "another type": lambda content: content.replace(b'"F32"', b'"I32"'),
    "another shape": lambda content: content.replace(b"[4,25]", b"[25,4]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (1, 2):
        tensors = {"x": torch.full((4, 25), float(step))}
        path = save_checkpoint(tmp_path, step, tensors, {"step": step}, keep=2)
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    assert path.read_bytes() != whole
    with pytest.raises(BadCheckpoint, match=r"step-00000002\.safetensors' (cannot be read: |is damaged: )"):
        load_checkpoint(path)
    with caplog.at_level(logging.WARNING):
        found = newest_whole(tmp_path)
    assert found is not None
    assert (found[0].stem, found[2]) == ("step-00000001", {"step": 1})
    assert "step-00000002.safetensors" in caplog.text
    assert sorted(file.name for file in tmp_path.iterdir()) == ["step-00000001.safetensors", "step-00000002.damaged"]
    found[0].write_bytes(b"")
    with pytest.raises(BadCheckpoint, match=r"step-00000001.* cannot be read: .* No other is left; delete"):
        newest_whole(tmp_path)
    assert found[0].exists()


def test_checkpoints_of_an_earlier_version_have_no_checksum_and_are_taken(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "step-00000003.safetensors"
    checkpoint.save_file({"x": torch.ones(2)}, path, {"facts": json.dumps({"step": 3})})
    with caplog.at_level(logging.WARNING):
        found = newest_whole(tmp_path)
    assert found is not None
    assert found[2] == {"step": 3}
    assert not caplog.records
    checkpoint.save_file({"x": torch.ones(2)}, path)
    with pytest.raises(BadCheckpoint, match="cannot be read"):
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
