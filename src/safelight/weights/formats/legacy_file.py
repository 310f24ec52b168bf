"""PyTorch's files before version 1.6, without an archive: five pickles, then the storages one behind the other.

The pickles are: a magic number, the version of the format, facts about the machine, the tree itself, and the keys of
the storages in the order in which they follow. Each storage is its count of numbers in 8 bytes, and the numbers.
Format: `_legacy_save` in torch/serialization.py.
"""

from __future__ import annotations

from safelight.weights.formats.faults import Damaged, quoted
from safelight.weights.formats.machine import Machine, described
from safelight.weights.formats.mapped import MappedFile
from safelight.weights.formats.reader import Reader
from safelight.weights.formats.storages import StoredNumbers
from safelight.weights.formats.views import Storage

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


def read_legacy(file: MappedFile) -> tuple[object, StoredNumbers]:
    """The tree that the file's pickle builds, and where its tensors lie; raises Damaged and Refused."""
    machine = Machine()
    reader = Reader(file.bytes, 0, file.size)
    if (magic := machine.run(reader)) != MAGIC:
        raise Damaged(f"it is a pickle that PyTorch did not write: it begins with a {described(magic)}")
    if (version := machine.run(reader)) != VERSION:
        raise Damaged(f"its version is {str(version)[:40]}; known: {VERSION}")
    facts = machine.run(reader)
    if not isinstance(facts, dict) or facts.get("little_endian") is not True:
        raise Damaged("its numbers are stored big end first; little-endian ones are read")
    tree = machine.run(reader)
    keys = machine.run(reader)
    if not isinstance(keys, list):
        raise Damaged(f"its list of storages is a {described(keys)}")
    return tree, StoredNumbers(file, _places(reader, keys, machine.storages), machine.storages)


def _places(reader: Reader, keys: list[object], storages: dict[str, Storage]) -> dict[str, tuple[int, int]]:
    """Where each storage lies; raises Damaged where the file ends before the last of them does, or after."""
    places: dict[str, tuple[int, int]] = {}
    for key in keys:
        if not isinstance(key, str) or key not in storages or key in places:
            raise Damaged(
                f"its list of storages has {quoted(str(key)[:200])}, which no tensor uses or which came before"
            )
        storage = storages[key]
        if reader.end - reader.position < 8 + storage.size:
            raise Damaged(f"it is cut short inside storage {quoted(key)}")
        count, start = reader.number(8), reader.position
        if count * storage.dtype.itemsize != storage.size:
            raise Damaged(f"storage {quoted(key)} is said to have {storage.size} bytes and has {count} numbers")
        reader.position = start + storage.size
        places[key] = (start, reader.position)
    if reader.position < reader.end:
        raise Damaged(f"{reader.end - reader.position} bytes follow its last storage")
    return places
