"""The bytes of a pickle, read one instruction at a time, and the instructions that only name a plain value.

Every length in the file is compared with what is left of the file before anything is made of it.
Instructions: the comments of CPython's pickletools.
"""

from __future__ import annotations

import codecs
import mmap
import struct
from collections.abc import Callable

from safelight.weights.formats.faults import Damaged

LONGEST_LINE = 2**16  # of the instructions of protocol 0, which end at a line feed
LARGEST_INTEGER = 128  # bytes


class Reader:
    """A part of a file, read from `position` to `end`."""

    def __init__(self, source: bytes | mmap.mmap, position: int, end: int) -> None:
        self.source = source
        self.position = position
        self.end = end

    def take(self, count: int) -> bytes:
        """The next `count` bytes; raises Damaged where there are fewer."""
        left = self.end - self.position
        if count > left:
            raise Damaged(f"its pickle is cut short: {count} bytes should follow, {left} do")
        self.position += count
        return self.source[self.position - count : self.position]

    def number(self, count: int) -> int:
        """An unsigned number of `count` bytes."""
        return int.from_bytes(self.take(count), "little")

    def line(self) -> bytes:
        """The bytes up to the next line feed."""
        limit = min(self.end, self.position + LONGEST_LINE)
        feed = self.source.find(b"\n", self.position, limit)
        if feed < 0:
            raise Damaged(f"its pickle has a line that does not end within {limit - self.position} bytes")
        return self.take(feed + 1 - self.position)[:-1].removesuffix(b"\r")

    def word(self) -> str:
        """A line of text."""
        return _text(self.line())


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Damaged(f"its pickle has a text that is no UTF-8: {error}") from error


def _digits(raw: bytes) -> int:
    try:
        return int(raw)
    except ValueError as error:
        raise Damaged(f"its pickle has the number {raw[:40]!r}") from error


def _integer_line(reader: Reader) -> int | bool:
    raw = reader.line()
    return {b"00": False, b"01": True}[raw] if raw in (b"00", b"01") else _digits(raw)


def _float_line(reader: Reader) -> float:
    raw = reader.line()
    try:
        return float(raw)
    except ValueError as error:
        raise Damaged(f"its pickle has the number {raw[:40]!r}") from error


def _long(count: int) -> Callable[[Reader], int]:
    def read(reader: Reader) -> int:
        size = reader.number(count)
        if size > LARGEST_INTEGER:
            raise Damaged(f"its pickle has a number of {size} bytes; allowed: {LARGEST_INTEGER}")
        return int.from_bytes(reader.take(size), "little", signed=True)

    return read


def _bytes(count: int) -> Callable[[Reader], bytes]:
    return lambda reader: reader.take(reader.number(count))


def _string(count: int) -> Callable[[Reader], str]:
    return lambda reader: _text(reader.take(reader.number(count)))


def _old_string(count: int) -> Callable[[Reader], str]:
    """Python 2 wrote bytes and texts alike; every byte is a letter of Latin-1."""
    return lambda reader: reader.take(reader.number(count)).decode("latin-1")


def _quoted_line(reader: Reader) -> str:
    raw = reader.line().strip()
    if len(raw) < 2 or raw[:1] not in b"'\"" or raw[-1:] != raw[:1]:
        raise Damaged("its pickle has a text without quotation marks")
    try:
        return codecs.escape_decode(raw[1:-1])[0].decode("latin-1")
    except ValueError as error:
        raise Damaged(f"its pickle has a text that cannot be read: {error}") from error


def _unicode_line(reader: Reader) -> str:
    try:
        return reader.line().decode("raw-unicode-escape")
    except UnicodeDecodeError as error:
        raise Damaged(f"its pickle has a text that cannot be read: {error}") from error


# Instruction -> what it pushes.
LITERALS: dict[bytes, Callable[[Reader], object]] = {
    b"N": lambda reader: None,
    b"\x88": lambda reader: True,
    b"\x89": lambda reader: False,
    b"I": _integer_line,
    b"L": lambda reader: _digits(reader.line().removesuffix(b"L")),
    b"J": lambda reader: struct.unpack("<i", reader.take(4))[0],
    b"K": lambda reader: reader.number(1),
    b"M": lambda reader: reader.number(2),
    b"\x8a": _long(1),
    b"\x8b": _long(4),
    b"F": _float_line,
    b"G": lambda reader: struct.unpack(">d", reader.take(8))[0],
    b"S": _quoted_line,
    b"T": _old_string(4),
    b"U": _old_string(1),
    b"V": _unicode_line,
    b"\x8c": _string(1),
    b"X": _string(4),
    b"\x8d": _string(8),
    b"C": _bytes(1),
    b"B": _bytes(4),
    b"\x8e": _bytes(8),
    b"\x96": _bytes(8),
    b")": lambda reader: (),
    b"]": lambda reader: [],
    b"}": lambda reader: {},
    b"\x8f": lambda reader: [],
}
