"""Matrices in eight bits: near enough, small, and what is no such pair is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from safelight.weights.formats import pack_rows, read_file


def test_a_row_comes_back_to_half_a_step(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rows = torch.randn(64, 16, 3, 3) * torch.logspace(-4, 1, 64)[:, None, None, None]
    rows[5] = 0
    save_file(pack_rows({"w": rows}), tmp_path / "w.safetensors")
    back = read_file(tmp_path / "w.safetensors").tensors["w"]
    assert back.dtype == torch.float16
    assert back.shape == rows.shape
    largest = rows.abs().amax((1, 2, 3), keepdim=True)
    # Half a step, and what float16 rounds.
    assert bool(((back - rows).abs() <= largest * (0.5 / 127 + 2**-11) + 1e-7).all())
    assert torch.equal(back[5], torch.zeros_like(back[5]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_matrices_are_of_the_type_of_their_biases(dtype: torch.dtype, tmp_path: Path) -> None:
    numbers = {"a": torch.randn(64, 64, dtype=dtype), "bias": torch.randn(64, dtype=dtype)}
    save_file(pack_rows(numbers), tmp_path / "w.safetensors")
    assert {tensor.dtype for tensor in read_file(tmp_path / "w.safetensors").tensors.values()} == {dtype}


def test_a_largest_number_is_kept_with_its_sign() -> None:
    rows = torch.linspace(-1, 1, 8192).reshape(2, 4096)
    packed = pack_rows({"w": rows})
    assert packed["w"][0, 0] == -127
    assert packed["w"][1, -1] == 127
    assert torch.equal(packed["w.row_steps"], torch.full((2,), 1 / 127))


def test_it_takes_a_quarter_of_float32(tmp_path: Path) -> None:
    rows = {"w": torch.randn(256, 1024)}
    save_file(rows, tmp_path / "plain.safetensors")
    save_file(pack_rows(rows), tmp_path / "packed.safetensors")
    plain, packed = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("plain", "packed"))
    assert packed < 0.26 * plain


def test_what_is_small_flat_whole_or_beyond_float16_stays() -> None:
    kept = {
        "bias": torch.randn(8192),
        "small": torch.randn(63, 65),
        "places": torch.arange(8192).reshape(2, 4096),
        "huge": torch.full((2, 4096), 1e5),
        "none": torch.full((2, 4096), float("nan")),
    }
    packed = pack_rows(kept)
    assert packed.keys() == kept.keys()
    assert all(packed[name] is tensor for name, tensor in kept.items())


def test_what_is_no_pair_is_left_as_it_is(tmp_path: Path) -> None:
    left = {
        "alone.row_steps": torch.ones(4),
        "wide": torch.randn(4, 4),
        "wide.row_steps": torch.ones(4),
        "short": torch.ones(4, 4, dtype=torch.int8),
        "short.row_steps": torch.ones(3),
    }
    save_file(left, tmp_path / "w.safetensors")
    read = read_file(tmp_path / "w.safetensors").tensors
    assert read.keys() == left.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in left.items())
