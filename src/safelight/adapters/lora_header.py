"""The header of a LoRA's file in one order: the library that writes it puts its notes in another one each time.

So two runs that learnt the same leave the same bytes. A safetensors file is the length of its header in eight bytes,
the header as JSON, filled up with spaces to a multiple of eight, and the tensors.
"""

from __future__ import annotations

import json
from pathlib import Path

LENGTH = 8  # bytes
NOTES = "__metadata__"


def put_in_order(path: Path) -> None:
    """Sort the notes in the header of a safetensors file by their names; the tensors stay as they are."""
    content = path.read_bytes()
    end = LENGTH + int.from_bytes(content[:LENGTH], "little")
    header = json.loads(content[LENGTH:end])
    header[NOTES] = dict(sorted(header[NOTES].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH)
    path.write_bytes(len(text).to_bytes(LENGTH, "little") + text + content[end:])
