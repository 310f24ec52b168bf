"""Devices and number formats by name."""

from __future__ import annotations

import pickle
import platform
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from safelight import placement
from safelight.errors import BadInput
from safelight.placement import DTYPES, fastest_dtype, placement_for, run_in_half, use_fast_layout


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (None, torch.float32),
        ("float32", torch.float32),
        ("bf16", torch.bfloat16),
        ("fp16", torch.float16),
        (torch.bfloat16, torch.bfloat16),
        ("torch.float16", torch.float16),
    ],
)
def test_dtypes(name: Any, dtype: torch.dtype) -> None:
    found = placement_for("cpu", name)
    assert found.dtype == dtype
    assert DTYPES[found.dtype_name] == dtype


def test_auto_is_what_the_device_does_well() -> None:
    assert placement_for("cpu", "auto").dtype_name == fastest_dtype(torch.device("cpu"))


@pytest.mark.parametrize(
    ("matrix_units", "vectors", "maker", "name"),
    [
        (True, True, "GenuineIntel", "bfloat16"),
        (False, True, "GenuineIntel", "float32"),
        (False, True, "", "float32"),
        (False, True, "AuthenticAMD", "bfloat16"),
        (False, False, "AuthenticAMD", "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_is_much_faster_in_it(
    monkeypatch: pytest.MonkeyPatch, matrix_units: bool, vectors: bool, maker: str, name: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: matrix_units)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: vectors)
    monkeypatch.setattr(placement, "maker_of_processor", lambda: maker)
    assert placement_for("cpu", "auto").dtype_name == name


@pytest.mark.parametrize(
    ("content", "elsewhere", "maker"),
    [
        ("processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: Any: one\n", "", "AuthenticAMD"),
        ("processor\t: 0\nCPU implementer\t: 0x41\n", "arm", ""),
        (None, "AMD64 Family 25 Model 17 Stepping 1, AuthenticAMD", "AuthenticAMD"),
        (None, "arm", "arm"),
        (None, "", ""),
    ],
)
def test_the_maker_of_the_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, elsewhere: str, maker: str
) -> None:
    file = tmp_path / "cpuinfo"
    if content is not None:
        file.write_text(content, "utf-8")
    monkeypatch.setattr(placement, "PROCESSORS", file)
    monkeypatch.setattr(platform, "processor", lambda: elsewhere)
    assert placement.maker_of_processor() == maker


@pytest.mark.parametrize("name", ["float23", "int8", torch.float64, 5, ""])
def test_unknown_dtypes(name: Any) -> None:
    with pytest.raises(BadInput, match="Allowed: auto, bfloat16, float16, float32"):
        placement_for("cpu", name)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta", "", [], torch.device("cuda:99")])
def test_devices_that_are_not_there(name: Any) -> None:
    with pytest.raises(BadInput, match="this machine has: cpu"):
        placement_for(name, None)


def test_a_device_may_be_given_itself() -> None:
    assert placement_for(torch.device("cpu"), None).device == torch.device("cpu")


def test_convolutions_are_stored_channels_last_once_they_run() -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Linear(4, 4))
    weight, image = network[0].weight, torch.randn(1, 4, 6, 6)
    before, expected, place = weight.clone(), network(image), weight.data_ptr()
    assert use_fast_layout(network) is network
    assert weight.data_ptr() == place
    copied = pickle.loads(pickle.dumps(deepcopy(network)))
    with torch.inference_mode():
        assert torch.allclose(network(image), expected, atol=1e-6)
        assert torch.allclose(copied(image), expected, atol=1e-6)
    for one in (network, copied):
        assert one[0].weight.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(one[0].weight, before)
        assert not one[0]._forward_pre_hooks
        one(image).sum().backward()
    assert network[0].weight is weight


def test_a_network_made_in_inference_mode_runs_there() -> None:
    with torch.inference_mode():
        network, image = nn.Conv2d(4, 8, 3), torch.randn(1, 4, 6, 6)
        expected = network(image)
        assert torch.allclose(use_fast_layout(network)(image), expected, atol=1e-6)
        assert network.weight.is_contiguous(memory_format=torch.channels_last)
        assert torch.allclose(network(image), expected, atol=1e-6)


def test_the_network_is_given_back_as_it_was() -> None:
    network = nn.Linear(2, 2).half()

    def overflow() -> torch.Tensor:
        if network.weight.dtype == torch.float16:
            return torch.tensor([torch.inf])
        raise MemoryError

    with pytest.raises(MemoryError):
        run_in_half(network, overflow, "layer")
    assert network.weight.dtype == torch.float16
