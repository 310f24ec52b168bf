"""What can be wrong with a file of tensors; `tensor_file.py` adds the file's name and makes it a BadCheckpoint."""

from __future__ import annotations

SHOWN = 80  # characters of a name or text from a file that a message repeats


class Damaged(Exception):
    """The file contradicts itself, ends too early, or is of another kind; the message completes "... file: "."""


class Refused(Exception):
    """The file asks for something that no file of weights needs; the message completes "... is refused: it "."""


def quoted(text: str) -> str:
    """A name out of a file, made safe to print: quoted, escaped and not too long."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
