"""PyTorch's files since version 1.6: a zip archive of one pickle and one plain entry for each storage.

Entries are never extracted, so their names are keys and not paths; none is compressed, so each can stay on disk.
Format: APPNOTE.TXT of PKWARE, sections 4.3 and 4.5.3 (zip64).
"""

from __future__ import annotations

import struct

from safelight.weights.formats.faults import Damaged, Refused, quoted
from safelight.weights.formats.machine import Machine
from safelight.weights.formats.mapped import MappedFile
from safelight.weights.formats.reader import Reader
from safelight.weights.formats.storages import StoredNumbers

END = struct.Struct("<4s4H2LH")  # of the directory
END_64_PLACE = struct.Struct("<4sLQL")
END_64 = struct.Struct("<4sQ2H2L4Q")
ENTRY = struct.Struct("<4s6H3L5H2L")  # in the directory
LOCAL = struct.Struct("<4s5H3L2H")  # before the entry's own bytes
LONGEST_COMMENT = 2**16 - 1
MOST_ENTRIES = 200_000
LARGEST_PICKLE = 256 * 2**20  # bytes
PICKLE = "data.pkl"

Ranges = dict[str, tuple[int, int]]


def read_zip(file: MappedFile) -> tuple[object, StoredNumbers]:
    """The tree that the archive's pickle builds, and where its tensors lie; raises Damaged and Refused."""
    entries = archive_entries(file)
    homes = [name.removesuffix(PICKLE) for name in entries if name.endswith(f"/{PICKLE}")]
    if len(homes) != 1:
        raise Damaged(f"it is a zip archive with {len(homes)} {PICKLE}; needed: one. It holds {_some(entries)}")
    home = homes[0]
    if (order := entries.get(f"{home}byteorder")) and file.bytes[slice(*order)] != b"little":
        raise Damaged("its numbers are stored big end first; little-endian ones are read")
    start, end = entries[home + PICKLE]
    if end - start > LARGEST_PICKLE:
        raise Refused(f"has a pickle of {end - start} bytes; allowed: {LARGEST_PICKLE}")
    machine = Machine()
    tree = machine.run(Reader(file.bytes, start, end))
    inside = f"{home}data/"
    places = {name.removeprefix(inside): place for name, place in entries.items() if name.startswith(inside)}
    return tree, StoredNumbers(file, places, machine.storages)


def archive_entries(file: MappedFile) -> Ranges:
    """Name -> first byte and the one after the last, of each entry of a zip archive; raises Damaged."""
    count, size, start = _directory(file)
    if count > MOST_ENTRIES:
        raise Damaged(f"it is a zip archive of {count} entries; allowed: {MOST_ENTRIES}")
    entries: Ranges = {}
    reader = Reader(file.bytes, start, start + size)
    for _ in range(count):
        name, place = _entry(file, reader)
        if name in entries:
            raise Damaged(f"its entry {quoted(name)} is there twice")
        entries[name] = place
    _check_apart(entries, start)
    return entries


def _directory(file: MappedFile) -> tuple[int, int, int]:
    """How many entries the directory has, its size in bytes, and its first byte."""
    at = file.bytes.rfind(b"PK\x05\x06", max(0, file.size - END.size - LONGEST_COMMENT))
    if at < 0 or at + END.size > file.size:
        raise Damaged("it is cut short: a zip archive ends with its directory, and this one has none")
    _, _, _, _, count, size, start, _ = END.unpack_from(file.bytes, at)
    if count == 0xFFFF or 0xFFFFFFFF in (size, start):
        count, size, start, at = _directory_64(file, at - END_64_PLACE.size)
    if start + size > at:
        raise Damaged(f"its zip directory should be {size} bytes from byte {start}, and ends before byte {at}")
    return count, size, start


def _directory_64(file: MappedFile, at: int) -> tuple[int, int, int, int]:
    """The same from the larger record that archives beyond 4 GB have, and where that record begins."""
    place = END_64_PLACE.unpack_from(file.bytes, at) if at >= 0 else (b"", 0, 0, 0)
    if place[0] != b"PK\x06\x07" or place[2] + END_64.size > at:
        raise Damaged("its zip directory cannot be found")
    record = END_64.unpack_from(file.bytes, place[2])
    if record[0] != b"PK\x06\x06":
        raise Damaged("its zip directory cannot be found")
    return record[7], record[8], record[9], place[2]


def _entry(file: MappedFile, reader: Reader) -> tuple[str, tuple[int, int]]:
    """The next entry of the directory; raises Damaged for one that is not stored plainly inside the file."""
    try:
        fields = ENTRY.unpack(reader.take(ENTRY.size))
        raw = reader.take(fields[10])
        extra = reader.take(fields[11])
        reader.take(fields[12])
    except Damaged as error:
        raise Damaged("its zip directory ends inside an entry") from error
    name = raw.decode("utf-8", "replace")
    if fields[0] != b"PK\x01\x02":
        raise Damaged("its zip directory holds something that is no entry")
    if ".." in name.split("/") or name.startswith("/") or "\\" in name or ":" in name or "\0" in name:
        raise Refused(f"has an entry with the name {quoted(name)}")
    if "/code/" in name:
        raise Refused("is a TorchScript program, not a file of weights")
    if fields[3] & 1:
        raise Damaged(f"its entry {quoted(name)} is encrypted")
    packed, plain, local = _sizes_64(extra, fields[8], fields[9], fields[16])
    if fields[4] != 0 or packed != plain:
        raise Damaged(f"its entry {quoted(name)} is compressed; PyTorch stores entries as they are")
    start = _first_byte(file, raw, local)
    if start + plain > file.size:
        raise Damaged(f"it is cut short: entry {quoted(name)} ends at byte {start + plain}, the file at {file.size}")
    return name, (start, start + plain)


def _sizes_64(extra: bytes, packed: int, plain: int, local: int) -> tuple[int, int, int]:
    """The three numbers, each from the zip64 field where 32 bits cannot say it."""
    large: list[int] = []
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, at)
        if tag == 1:
            field = extra[at + 4 : at + 4 + length]
            large = [int.from_bytes(field[i : i + 8], "little") for i in range(0, len(field) - 7, 8)]
            break
        at += 4 + length
    found = []
    for value in (plain, packed, local):  # the order in which the field has them
        if value == 0xFFFFFFFF and not large:
            raise Damaged("its zip directory lacks a size beyond 4 GB")
        found.append(large.pop(0) if value == 0xFFFFFFFF else value)
    return found[1], found[0], found[2]


def _first_byte(file: MappedFile, raw: bytes, local: int) -> int:
    """Where the bytes of an entry begin: behind its own header, which must bear the same name."""
    if local + LOCAL.size > file.size:
        raise Damaged(f"it is cut short: entry {quoted(raw.decode('utf-8', 'replace'))} begins at byte {local}")
    fields = LOCAL.unpack_from(file.bytes, local)
    named = local + LOCAL.size
    if fields[0] != b"PK\x03\x04" or file.bytes[named : named + fields[9]] != raw:
        raise Damaged(f"its entry {quoted(raw.decode('utf-8', 'replace'))} is not where the zip directory says")
    return named + fields[9] + fields[10]


def _check_apart(entries: Ranges, directory: int) -> None:
    reached = 0
    for name, (start, end) in sorted(entries.items(), key=lambda entry: entry[1]):
        if start < reached or end > directory:
            raise Damaged(f"its entry {quoted(name)} lies over another one")
        reached = end


def _some(entries: Ranges) -> str:
    return ", ".join(quoted(name) for name in list(entries)[:5]) or "nothing"
