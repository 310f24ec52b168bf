"""Tensors of a mapped file take memory while they are used, and only then."""

import gc
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from safelight.weights.formats import read_file
from safelight.weights.formats.mapped import MappedFile

MEGABYTE = 2**20
linux = pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="asks Linux what is in memory")


def resident(path: Path) -> int:
    """Bytes of that file's mappings that are in memory."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Four tensors of a megabyte each."""
    path = tmp_path / "model.safetensors"
    save_file({name: torch.full((MEGABYTE // 4,), float(i)) for i, name in enumerate("abcd")}, path)
    return path


@linux
def test_opening_reads_the_header_and_no_numbers(file: Path) -> None:
    tensors = read_file(file).tensors
    assert resident(file) < MEGABYTE / 4
    assert tensors["b"].sum().item() == MEGABYTE / 4
    assert MEGABYTE <= resident(file) < 1.5 * MEGABYTE


@linux
def test_a_tensor_that_goes_leaves_memory_while_others_of_its_file_stay(file: Path) -> None:
    tensors = read_file(file).tensors
    assert [tensor.max().item() for tensor in tensors.values()] == [0, 1, 2, 3]
    assert resident(file) >= 4 * MEGABYTE
    del tensors["b"], tensors["c"]
    assert resident(file) < 2.25 * MEGABYTE
    assert [tensor.min().item() for tensor in tensors.values()] == [0, 3]


@linux
def test_a_network_that_is_converted_keeps_no_page_of_the_file(file: Path) -> None:
    network = nn.Module()
    for name, tensor in read_file(file).tensors.items():
        network.register_parameter(name, nn.Parameter(tensor))
    del tensor
    assert sum(parameter.sum().item() for parameter in network.parameters()) == 6 * MEGABYTE / 4
    network.to(torch.bfloat16)
    assert resident(file) < MEGABYTE / 4
    del network
    gc.collect()
    assert resident(file) == 0


def test_what_was_written_to_a_tensor_outlives_its_neighbours_and_its_views(file: Path) -> None:
    tensors = read_file(file).tensors
    kept = tensors["b"][5:]
    kept.add_(10)
    for name in list(tensors):
        del tensors[name]
    assert kept.unique().tolist() == [11]


def test_a_mapped_file_may_be_replaced_and_removed(file: Path) -> None:
    tensors = read_file(file).tensors
    save_file({"a": torch.zeros(3)}, file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)
    file.unlink()
    assert tensors["d"].unique().tolist() == [3]


def test_opening_many_files_keeps_none_open(file: Path) -> None:
    if not (descriptors := Path("/proc/self/fd")).exists():
        pytest.skip("asks Linux what is open")
    before = len(list(descriptors.iterdir()))
    for _ in range(50):
        read_file(file).tensors["a"].sum()
    gc.collect()
    assert len(list(descriptors.iterdir())) <= before


def test_numbers_at_an_odd_place_are_copied_to_an_even_one(tmp_path: Path) -> None:
    (path := tmp_path / "f").write_bytes(b"x" + torch.arange(5.0).numpy().tobytes())
    numbers = MappedFile(path).tensor(torch.float32, 1, 21)
    assert numbers.tolist() == [0, 1, 2, 3, 4]
    assert numbers.data_ptr() % 4 == 0
