"""Headers of safetensors files that lie: refused by what is wrong, at once and in little memory."""

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors
import torch
from safetensors.torch import save_file

from safelight.errors import BadCheckpoint
from safelight.weights.formats import read_file
from safelight.weights.formats.safetensors_file import DTYPES, LARGEST_HEADER

FLOAT = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def file_of(path: Path, header: object, data: bytes = b"1234", length: int | None = None) -> Path:
    """A file with that header: JSON, or bytes as they are."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(raw) if length is None else length).to_bytes(8, "little") + raw + data)
    return path


def entry(**changes: object) -> dict[str, object]:
    return {"a": {**FLOAT, **changes}}


def second(start: int, end: int) -> dict[str, object]:
    return {"a": FLOAT, "b": {"dtype": "U8", "shape": [end - start], "data_offsets": [start, end]}}


def many(count: int) -> bytes:
    """A header of so many empty tensors."""
    entries = (f'"{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(count))
    return ("{" + ",".join(entries) + "}").encode()


# What is wrong -> (the file's header, its data, the length that it gives), and words of the refusal.
LIES: dict[str, tuple[Callable[[], tuple[object, ...]], str]] = {
    "length 2^63": (lambda: (entry(), b"1234", 2**63), f"should be {2**63} bytes long"),
    "length 2^64 - 1": (lambda: (entry(), b"1234", 2**64 - 1), "bytes long"),
    "length beyond the file": (lambda: (entry(), b"1234", 10_000), "should be 10000 bytes long"),
    "length too short": (lambda: (entry(), b"1234", 20), "is no JSON"),
    "huge header": (lambda: (b"{" + b" " * LARGEST_HEADER + b"}",), f"allowed: {LARGEST_HEADER}"),
    "no JSON": (lambda: (b"{nonsense}",), "is no JSON"),
    "no UTF-8": (lambda: (b'{"\xff":1}',), "is no JSON"),
    "UTF-16": (lambda: ('{"a":1}'.encode("utf-16-le"),), "is no JSON"),
    "deep lists": (lambda: (b'{"a":' + b"[" * 10**6,), "is no JSON"),
    "deep objects": (lambda: (b'{"a":' * 90_000,), "is no JSON"),
    "duplicate names": (lambda: (b'{"a":%s,"a":%s}' % ((json.dumps(FLOAT).encode(),) * 2),), "has 'a' twice"),
    "duplicate fields": (lambda: (b'{"a":{"dtype":"F32","dtype":"F32"}}',), "has 'dtype' twice"),
    "unknown dtype": (lambda: (entry(dtype="F9"),), "'a' is of dtype 'F9'; known: BOOL"),
    "dtype is a list": (lambda: (entry(dtype=["F32"]),), "'a' is of dtype"),
    "overlap": (lambda: (second(2, 6), b"123456"), "'b' overlaps 'a' by 2 bytes"),
    "the same range twice": (lambda: ({"a": FLOAT, "b": FLOAT},), "overlaps 'a'"),
    "hole": (lambda: (second(6, 8), b"12345678"), "2 bytes before 'b' belong to no tensor"),
    "hole at the start": (lambda: (entry(data_offsets=[4, 8]), b"12345678"), "4 bytes before 'a'"),
    "data left over": (lambda: (entry(), b"123456789"), "5 bytes after 'a' belong to no tensor"),
    "data missing": (lambda: (second(4, 100), b"12345678"), "the data of 'b' end at byte 100, the file's at 8"),
    "no offsets": (lambda: ({"a": {"dtype": "F32", "shape": [1]}},), "'a' must have exactly"),
    "an extra field": (lambda: (entry(code="import os"),), "'a' must have exactly"),
    "an entry that is a number": (lambda: ({"a": 3},), "'a' must have exactly"),
    "offsets backwards": (lambda: (entry(data_offsets=[4, 0]),), "'a' has data_offsets that are no range"),
    "three offsets": (lambda: (entry(data_offsets=[0, 4, 8]),), "'a' has data_offsets that are no range"),
    "negative offsets": (lambda: (entry(data_offsets=[-4, 0]),), "'a' has data_offsets that are no range"),
    "offsets that are no whole numbers": (lambda: (entry(data_offsets=[0.0, 4.0]),), "no range"),
    "offsets that are true": (lambda: (entry(shape=[], dtype="U8", data_offsets=[False, True]),), "no range"),
    "huge offsets": (lambda: (entry(data_offsets=[0, 2**63]),), "no range"),
    "a shape too large": (lambda: (entry(shape=[2]),), "'a' needs 8 bytes for F32 [2], and has 4"),
    "a shape that overflows": (lambda: (entry(shape=[2**62, 2**62]),), "'a' needs"),
    "a shape that overflows to fit": (lambda: (entry(shape=[2**32, 2**32, 4], data_offsets=[0, 0]),), "'a' needs"),
    "a negative shape": (lambda: (entry(shape=[-1]),), "'a' has a shape"),
    "two negative sizes": (lambda: (entry(shape=[-1, -1]),), "'a' has a shape"),
    "a shape with a text": (lambda: (entry(shape=["1"]),), "'a' has a shape"),
    "too many dimensions": (lambda: (entry(shape=[1] * 1000),), "'a' has a shape"),
    "a number of a million digits": (lambda: (b'{"a":{"shape":[%s]}}' % (b"9" * 10**6),), "is no JSON"),
    "infinity": (lambda: (b'{"a":{"shape":[Infinity]}}',), "holds Infinity"),
    "metadata with numbers": (lambda: ({"__metadata__": {"a": 1}, **entry()},), "__metadata__"),
    "a million tensors": (lambda: (many(1_000_000),), "allowed: "),
    "many tensors": (lambda: (many(60_000),), "names 60000 tensors; allowed: 50000"),
    "a million objects": (lambda: (b'{"a":[' + b"{}," * 1_000_000 + b"{}]}",), "opens 1000002 objects"),
    "a list of a million texts": (lambda: (b'{"a":[' + b'"xy",' * 1_000_000 + b'"xy"]}',), "'a' must have exactly"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies_is_refused_at_once(name: str, tmp_path: Path) -> None:
    make, words = LIES[name]
    file = file_of(tmp_path / "model.safetensors", *make())
    started = time.process_time()
    with pytest.raises(BadCheckpoint) as raised:
        read_file(file)
    assert time.process_time() - started < 10  # a trap would take minutes
    assert str(raised.value).startswith(f"{str(file)!r} is no whole safetensors file: ")
    assert words in str(raised.value)
    assert len(str(raised.value)) < 1000 + len(str(file))


@pytest.mark.parametrize(
    "name", ["huge header", "a million tensors", "many tensors", "a million objects", "a list of a million texts"]
)
def test_memory_stays_bounded(name: str, tmp_path: Path) -> None:
    file = file_of(tmp_path / "model.safetensors", *LIES[name][0]())
    tracemalloc.start()
    with pytest.raises(BadCheckpoint):
        read_file(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 256 * 2**20


def test_the_library_calls_them_lies_as_well(tmp_path: Path) -> None:
    """Which of these it opens all the same: what we refuse beyond it is little, and meant."""
    opened = set()
    for name, (make, _) in LIES.items():
        file = file_of(tmp_path / "model.safetensors", *make())
        try:
            with safetensors.safe_open(file, "pt") as content:
                content.keys()
            opened.add(name)
        except (safetensors.SafetensorError, OSError, ValueError, OverflowError):
            pass
    assert opened <= {"many tensors", "an extra field", "too many dimensions", "duplicate fields", "duplicate names"}


def test_every_type_of_number_is_read_as_it_was_written(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        code: torch.randint(0, 2 if dtype == torch.bool else 120, (3, 2, 16), generator=generator, dtype=torch.uint8)
        .view(dtype)
        .clone()
        for code, dtype in DTYPES.items()
    }
    save_file(tensors, tmp_path / "model.safetensors", metadata={"who": "me"})
    found = read_file(tmp_path / "model.safetensors")
    assert found.format == "safetensors"
    assert found.metadata == {"who": "me"}
    assert found.tensors.keys() == tensors.keys()
    for name, tensor in found.tensors.items():
        assert tensor.dtype == tensors[name].dtype
        assert tensor.shape == tensors[name].shape
        assert torch.equal(tensor.view(torch.uint8), tensors[name].view(torch.uint8))


def test_numbers_at_odd_places_scalars_and_empty_tensors_are_read(tmp_path: Path) -> None:
    header = {
        "byte": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "number": {"dtype": "F32", "shape": [], "data_offsets": [1, 5]},
        "none": {"dtype": "F32", "shape": [3, 0], "data_offsets": [5, 5]},
    }
    data = b"\x07" + torch.tensor(1.5).numpy().tobytes()
    tensors = read_file(file_of(tmp_path / "model.safetensors", header, data)).tensors
    assert tensors["byte"].tolist() == [7]
    assert tensors["number"].item() == 1.5
    assert tensors["number"].data_ptr() % 4 == 0
    assert tensors["none"].shape == (3, 0)


def test_a_header_whose_length_begins_like_a_pickle_is_a_header(tmp_path: Path) -> None:
    header = json.dumps(entry()).encode().ljust(0x0280)  # its length is written 80 02 00 ...
    assert read_file(file_of(tmp_path / "model", header)).tensors["a"].shape == (1,)


def test_a_file_cut_at_any_edge_names_itself_and_the_tensor(tmp_path: Path) -> None:
    tensors = {f"layer.{i}.weight": torch.arange(float(i + 1)) for i in range(8)}
    save_file(tensors, tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    data = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:data])
    edges = {offset: name for name, fields in header.items() for offset in (fields["data_offsets"][0],)}
    file = tmp_path / "cut.safetensors"
    for edge, name in edges.items():
        for kept, cut in ((data + edge, name), (data + edge + 1, name)):
            file.write_bytes(whole[:kept])
            with pytest.raises(BadCheckpoint, match=rf"cut\.safetensors' .* the data of '{cut}' end at byte"):
                read_file(file)
    for kept in range(data):
        file.write_bytes(whole[:kept])
        with pytest.raises(BadCheckpoint, match=r"cut\.safetensors' is no whole safetensors file"):
            read_file(file)
