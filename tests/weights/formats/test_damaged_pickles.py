"""Pickles and archives that contradict themselves: refused in bounded time and memory, never half read."""

import pickle
import re
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from safelight.errors import BadCheckpoint
from safelight.weights.formats import machine, read_file, read_tree
from weights.formats.containers import legacy, zipped

FLOATS = torch.arange(4.0).numpy().tobytes()


def storage(count: int = 4, kind: str = "Float", key: str = "0") -> bytes:
    """Push a storage (protocol 2)."""
    return (
        b"(X\x07\0\0\0storage"
        + f"ctorch\n{kind}Storage\n".encode()
        + pickle.dumps(key, 2)[2:-1]
        + b"X\x03\0\0\0cpu"
        + pickle.dumps(count, 2)[2:-1]
        + b"tQ"
    )


def tensor(offset: object = 0, shape: object = (4,), stride: object = (1,), stored: bytes | None = None) -> bytes:
    """Push a tensor of a storage."""
    sizes = b"".join(pickle.dumps(value, 2)[2:-1] for value in (offset, shape, stride))
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + (storage() if stored is None else stored)
        + sizes
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def named(*values: bytes) -> bytes:
    """A pickle of a dictionary with those values."""
    return b"\x80\x02}(" + b"".join(b"U\x01" + bytes([97 + i]) + value for i, value in enumerate(values)) + b"u."


# What is wrong -> (pickle, record of storage "0"), and words of the refusal.
LIES: dict[str, tuple[bytes, bytes, str]] = {
    "view beyond its storage": (named(tensor(shape=(5,))), FLOATS, "reaches number 4 of storage '0'"),
    "offset beyond its storage": (named(tensor(offset=1)), FLOATS, "reaches number 4 of storage '0'"),
    "stride beyond its storage": (named(tensor(shape=(2, 2), stride=(3, 1))), FLOATS, "reaches number 4"),
    "negative offset": (named(tensor(offset=-1, shape=(2,))), FLOATS, "an offset or strides that are no place"),
    "negative stride": (named(tensor(offset=3, stride=(-1,))), FLOATS, "no whole numbers"),
    "negative shape": (named(tensor(shape=(-4,))), FLOATS, "no whole numbers"),
    "shape and stride of two lengths": (named(tensor(shape=(2, 2))), FLOATS, "no place in it"),
    "a number repeated to fill memory": (
        named(tensor(shape=(10**6, 10**6), stride=(0, 0))),
        FLOATS,
        "and has 10000000",
    ),
    "a shape that overflows": (named(tensor(shape=(2**62, 8), stride=(8, 1))), FLOATS, "reaches number"),
    "a shape of texts": (named(tensor(shape=("4",))), FLOATS, "no whole numbers"),
    "a shape that is true": (named(tensor(shape=(True,))), FLOATS, "no whole numbers"),
    "a thousand dimensions": (named(tensor(shape=(1,) * 1000, stride=(1,) * 1000)), FLOATS, "no whole numbers"),
    "record too short": (named(tensor()), FLOATS[:-1], "storage '0'"),
    "record too long": (named(tensor()), FLOATS + b"x", ""),
    "record of another type": (named(tensor(stored=storage(4, "Double"))), FLOATS, "storage '0'"),
    "two sizes of a storage": (
        named(tensor(), tensor(stored=storage(4, "Double"))),
        FLOATS,
        "storage '0' is said to have 16 bytes and 32 bytes",
    ),
    "missing storage": (named(tensor(stored=storage(key="7"))), FLOATS, "'"),
    "storage that is a path": (named(tensor(stored=storage(key="../../etc/passwd"))), FLOATS, "'"),
    "huge storage": (named(tensor(stored=storage(2**40))), FLOATS, "storage '0'"),
    "negative storage": (named(tensor(stored=storage(-4))), FLOATS, "not described as PyTorch does"),
    "tensor of no storage": (named(tensor(stored=b"K\x01")), FLOATS, "of something that is no storage"),
    "tensor without arguments": (named(b"ctorch._utils\n_rebuild_tensor_v2\n)R"), FLOATS, "with 0 arguments"),
    "parameter of no tensor": (named(b"ctorch._utils\n_rebuild_parameter\n(K\x01\x89NtR"), FLOATS, "no tensor"),
    "reference to nothing": (named(b"K\x01Q"), FLOATS, "outside it that is no storage"),
    "endless bytes": (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x", b"", f"{2**62} bytes should follow"),
    "endless text": (b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"x", b"", f"{2**63} bytes should follow"),
    "endless frame": (b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N.", b"", f"{2**40} bytes should follow"),
    "negative length": (b"\x80\x02T\xff\xff\xff\xffx.", b"", f"{2**32 - 1} bytes should follow"),
    "huge number": (b"\x80\x02\x8b" + struct.pack("<I", 10**6) + bytes(10**6) + b".", b"", "a number of 1000000 bytes"),
    "number of many digits": (b"\x80\x02I" + b"9" * 60_000 + b"\n.", b"", "has the number"),
    "no end": (b"\x80\x02}", b"", "cut short: 1 bytes should follow, 0 do"),
    "nothing on the stack": (b"\x80\x02.", b"", "takes a value where there is none"),
    "no mark": (b"\x80\x02t.", b"", "lacks a mark"),
    "unknown memory": (b"\x80\x02h\x05.", b"", "recalls value 5"),
    "unknown protocol": (b"\x80\x09N.", b"", "protocol 9"),
    "a list as a key": (b"\x80\x02}]K\x01s.", b"", "a list as the key"),
    "a deep tuple as a key": (b"\x80\x02})" + b"\x85" * 10**5 + b"K\x01s.", b"", "a tuple as the key"),
    "entries into a list": (b"\x80\x02]K\x01K\x02s.", b"", "puts entries into a list"),
    "appending to a number": (b"\x80\x02K\x01K\x02a.", b"", "appends to a int"),
    "an odd number of entries": (b"\x80\x02}(K\x01u.", b"", "puts entries into a dict"),
    "deep dictionaries": (b"\x80\x02" + b"}U\x01a" * 10**5 + b"}" + b"s" * 10**5 + b".", b"", "nested more than"),
    "a dictionary in itself": (b"\x80\x02}q\0U\x01ah\0s.", b"", "nested more than"),
}


@pytest.mark.parametrize("name", LIES)
@pytest.mark.parametrize("read", [read_file, read_tree])
@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_a_pickle_that_lies_is_refused(
    container: str, read: Callable[[Path], object], name: str, tmp_path: Path
) -> None:
    code, record, words = LIES[name]
    path = tmp_path / "model.ckpt"
    if container == "zip":
        zipped(path, code, {"data/0": record})
    else:
        legacy(path, code, {"0": struct.pack("<q", 4) + record} if record else {})
    started = time.process_time()
    with pytest.raises(BadCheckpoint) as raised:
        read(path)
    assert time.process_time() - started < 10  # a trap would take minutes
    assert str(raised.value).startswith(f"{str(path)!r} is ")
    assert words in str(raised.value)
    assert len(str(raised.value)) < 600 + len(str(path))


def lists(depth: int) -> bytes:
    """A list of two lists of two lists ...: 2^depth of them to walk, but few to store."""
    return b"\x80\x02]q\0" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(depth)) + b"."


BOMBS: dict[str, tuple[bytes, str]] = {
    "lists that double": (b"\x80\x02}U\x01a" + lists(200)[2:-1] + b"s.", ""),
    "dictionaries that double": (
        b"\x80\x02}q\0" + b"".join(b"}(U\x01ah%cU\x01bh%cuq%c" % (i, i, i + 1) for i in range(200)) + b".",
        "",
    ),
    "lists without end": (b"\x80\x02" + b"]" * 2_100_000 + b".", "more than 2000000 pickle instructions"),
    "tensors without end": (
        b"\x80\x02]ctorch._utils\n_rebuild_tensor_v2\n("
        + storage()
        + b"K\0K\x04\x85K\x01\x85\x89Ntq\0"
        + b"0q\1"
        + b"h\1h\0R0" * 50_000
        + b".",
        "more than 2000000 pickle instructions",
    ),
    "copies of a long list": (
        b"\x80\x02ccollections\nOrderedDict\nq\0(" + b"K\1K\1\x86" * 100_000 + b"l\x85q\1" + b"h\0h\1R0" * 1000 + b".",
        "more than 2000000 pickle instructions",
    ),
    "a large index of the memory": (b"\x80\x02Nr\xff\xff\xff\xff" * 1 + b".", "holds a None"),
    "bytes that multiply": (
        b"\x80\x02c_codecs\nencode\nq\0X"
        + struct.pack("<I", 10**6)
        + b"x" * 10**6
        + b"\x85q\1"
        + b"h\0h\1R0" * 10_000
        + b"}.",
        "",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_little_time_and_memory(name: str, tmp_path: Path) -> None:
    code, words = BOMBS[name]
    path = zipped(tmp_path / "model.ckpt", code, {"data/0": FLOATS})
    started = time.process_time()
    for read in (read_file, read_tree):
        try:
            read(path)
        except BadCheckpoint as error:
            assert words in str(error)
    assert time.process_time() - started < 10


def test_a_bomb_of_lists_takes_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MOST_INSTRUCTIONS", 100_000)
    path = zipped(tmp_path / "model.ckpt", BOMBS["lists without end"][0])
    tracemalloc.start()
    with pytest.raises(BadCheckpoint, match="more than 100000 pickle instructions"):
        read_file(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20


def archive(path: Path, change: Callable[[zipfile.ZipFile], object], **options: int) -> Path:
    with zipfile.ZipFile(path, "w", **options) as made:
        change(made)
    return path


def good(made: zipfile.ZipFile, home: str = "archive") -> None:
    made.writestr(f"{home}/data.pkl", named(tensor()))
    made.writestr(f"{home}/data/0", FLOATS)


def twice(made: zipfile.ZipFile) -> None:
    good(made)
    good(made, "second")


def with_entry(name: str, content: bytes = b"") -> Callable[[zipfile.ZipFile], object]:
    return lambda made: (good(made), made.writestr(name, content))


ARCHIVES: dict[str, tuple[Callable[[zipfile.ZipFile], object], str]] = {
    "two models": (twice, "zip archive with 2 data.pkl; needed: one"),
    "no model": (lambda made: made.writestr("a.txt", "x"), "zip archive with 0 data.pkl"),
    "big end first": (with_entry("archive/byteorder", b"big"), "big end first"),
    "a path upwards": (with_entry("archive/../../canary"), r"has an entry with the name 'archive/\.\./\.\./canary'"),
    "a path from the root": (with_entry("/etc/canary"), "has an entry with the name '/etc/canary'"),
    "a path of Windows": (with_entry("archive/..\\canary"), "has an entry with the name"),
    "a drive": (with_entry("C:/canary"), "has an entry with the name 'C:/canary'"),
    "an entry twice": (with_entry("archive/data/0", FLOATS), "entry 'archive/data/0' is there twice"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_is_none_of_pytorchs_is_refused(name: str, tmp_path: Path) -> None:
    change, words = ARCHIVES[name]
    with pytest.raises(BadCheckpoint, match=words):
        read_file(archive(tmp_path / "model.ckpt", change))


def test_a_compressed_entry_is_refused(tmp_path: Path) -> None:
    """Among them the bombs that unpack to a thousand times their size."""
    path = archive(tmp_path / "model.ckpt", good, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(BadCheckpoint, match=r"entry 'archive/data\.pkl' is compressed; PyTorch stores entries"):
        read_file(path)


def patched(path: Path, signature: bytes, offset: int, value: bytes, which: int) -> Path:
    """Overwrite a field of the record with that signature."""
    content = bytearray(path.read_bytes())
    at = [found.start() for found in re.finditer(re.escape(signature), content)][which] + offset
    content[at : at + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("signature", "offset", "value", "which", "words"),
    [
        (b"PK\x01\x02", 8, b"\x01", -1, "is encrypted"),
        (b"PK\x01\x02", 10, b"\x08", -1, "is compressed"),
        (b"PK\x01\x02", 24, struct.pack("<I", 2**30), -1, "is compressed"),
        (b"PK\x01\x02", 20, struct.pack("<II", 2**30, 2**30), -1, "cut short: entry 'archive/data/0' ends at byte"),
        (b"PK\x01\x02", 20, struct.pack("<II", 12, 12), -1, "is said to have 16 bytes and has 12"),
        (b"PK\x01\x02", 20, struct.pack("<II", 60, 60), -1, "lies over another one"),
        (b"PK\x01\x02", 20, b"\xff" * 8, -1, "lacks a size beyond 4 GB"),
        (b"PK\x01\x02", 42, struct.pack("<I", 0), -1, "is not where the zip directory says"),
        (b"PK\x01\x02", 42, struct.pack("<I", 2**31), -1, "cut short: entry 'archive/data/0' begins at byte"),
        (b"PK\x01\x02", 0, b"PX", -1, "holds something that is no entry"),
        (b"PK\x01\x02", 28, b"\xff\xff", -1, "ends inside an entry"),
        (b"PK\x03\x04", 30, b"X", -1, "is not where the zip directory says"),
        (b"PK\x05\x06", 10, struct.pack("<H", 9), -1, "ends inside an entry"),
        (b"PK\x05\x06", 12, struct.pack("<I", 2**31), -1, "zip directory should be"),
        (b"PK\x05\x06", 10, b"\xff" * 10, -1, "zip directory cannot be found"),
    ],
)
def test_a_directory_that_lies_is_refused(
    signature: bytes, offset: int, value: bytes, which: int, words: str, tmp_path: Path
) -> None:
    path = patched(archive(tmp_path / "model.ckpt", good), signature, offset, value, which)
    with pytest.raises(BadCheckpoint, match=words):
        read_file(path)


def test_an_archive_with_large_fields_is_read(tmp_path: Path) -> None:
    """The zip64 records that archives beyond 4 GB have, made small."""

    def large(made: zipfile.ZipFile) -> None:
        for name, content in (("archive/data.pkl", named(tensor())), ("archive/data/0", FLOATS)):
            with made.open(name, "w", force_zip64=True) as entry:
                entry.write(content)

    path = archive(tmp_path / "model.ckpt", large)
    assert read_file(path).tensors["a"].tolist() == [0, 1, 2, 3]
    content = path.read_bytes()
    end = content.rindex(b"PK\x05\x06")
    _, _, _, _, count, size, start, _ = struct.unpack_from("<4s4H2LH", content, end)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start)
    place = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(content[:end] + record + place + last)
    assert read_file(path).tensors["a"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("new", [True, False])
def test_a_file_cut_anywhere_names_itself(new: bool, tmp_path: Path) -> None:
    tensors = {f"layer.{i}.weight": torch.arange(float(5 * i + 1)) for i in range(4)}
    torch.save(tensors, tmp_path / "whole", _use_new_zipfile_serialization=new)
    whole = (tmp_path / "whole").read_bytes()
    path = tmp_path / "cut.ckpt"
    for kept in range(0, len(whole), 7 if new else 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(BadCheckpoint, match=r"cut\.ckpt' is no whole file of weights: "):
            read_file(path)


def test_an_old_file_cut_at_a_tensor_names_its_storage(tmp_path: Path) -> None:
    record = struct.pack("<q", 4) + FLOATS
    path = legacy(tmp_path / "old.ckpt", named(tensor(), tensor(stored=storage(key="1"))), {"0": record, "1": record})
    whole = path.read_bytes()
    assert read_file(path).tensors["b"].tolist() == [0, 1, 2, 3]
    for kept in range(len(whole) - len(record), len(whole)):
        path.write_bytes(whole[:kept])
        with pytest.raises(BadCheckpoint, match="cut short inside storage '1'"):
            read_file(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(BadCheckpoint, match="1 bytes follow its last storage"):
        read_file(path)


def test_an_old_file_from_a_machine_with_the_other_byte_order_is_refused(tmp_path: Path) -> None:
    pickles = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": False}, {}, [])
    (tmp_path / "f").write_bytes(b"".join(pickle.dumps(value, 2) for value in pickles))
    with pytest.raises(BadCheckpoint, match="big end first"):
        read_file(tmp_path / "f")
    pickles = (0x1950A86A20F9469CFC6C, 1002, {"little_endian": True}, {}, [])
    (tmp_path / "f").write_bytes(b"".join(pickle.dumps(value, 2) for value in pickles))
    with pytest.raises(BadCheckpoint, match="its version is 1002; known: 1001"):
        read_file(tmp_path / "f")
