"""What a file is, told from its first bytes and never from its name."""

from __future__ import annotations

import re
from enum import StrEnum

from safelight.weights.formats.faults import Damaged

HEAD = 512  # bytes that are enough to tell


class Format(StrEnum):
    """The formats of tensors that are read."""

    SAFETENSORS = "safetensors"
    ZIP = "PyTorch"
    LEGACY = "old PyTorch"  # before version 1.6: no archive, but pickles and then raw numbers


# What people take for weights, or get instead of them.
OTHERS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), what)
    for pattern, what in (
        (rb"\s*<(!doctype html|html|head|body)", "an HTML page, such as a login or an error page"),
        (rb"version https://git-lfs", "a Git LFS pointer; the weights themselves were not fetched (`git lfs pull`)"),
        (rb".{257}ustar", "a tar archive"),
        (rb"\x89PNG", "a PNG picture"),
        (rb"\xff\xd8\xff", "a JPEG picture"),
        (rb"GIF8", "a GIF picture"),
        (rb"RIFF", "a WebP picture or a sound"),
        (rb"\x1f\x8b", "a gzip archive"),
        (rb"BZh", "a bzip2 archive"),
        (rb"\xfd7zXZ", "an xz archive"),
        (rb"7z\xbc\xaf", "a 7z archive"),
        (rb"Rar!", "a RAR archive"),
        (rb"\x28\xb5\x2f\xfd", "a Zstandard archive"),
        (rb"GGUF", "a GGUF file"),
        (rb"\x89HDF", "an HDF5 file"),
        (rb"\x93NUMPY", "a NumPy array"),
        (rb"%PDF", "a PDF document"),
        (rb"\x7fELF", "a program"),
        (rb"<\?xml|<svg", "an XML document"),
        (rb"\s*[{\[]\s*([\"{\[\]}]|$)", "a JSON document"),
        (rb"\0{16}", "zeros, as in a download that never ended"),
    )
)
ZIP = re.compile(rb"PK\x03\x04|PK\x05\x06")
# A pickle opens with its protocol, or in protocols 0 and 1 with a number, a name, a mark or an empty container.
PICKLE = re.compile(rb"\x80[\0-\x05][^\0]|L\d+L?\r?\n|[(}\])]*[ci][\w.]+\r?\n[\w.]+|\(([dl]p\d|[SV]')|[})\]][q.]")


def format_of(head: bytes, size: int) -> Format:
    """The format of a file of `size` bytes that begins with `head`; raises Damaged that says what it looks like."""
    if not head:
        raise Damaged("it is empty")
    if ZIP.match(head):
        return Format.ZIP
    # The length of a safetensors header may begin with the very bytes that open a pickle.
    if head[8:9] == b"{" and (int.from_bytes(head[:8], "little") <= size or not PICKLE.match(head)):
        return Format.SAFETENSORS
    for pattern, what in OTHERS:
        if pattern.match(head):
            raise Damaged(f"it is {what}")
    if PICKLE.match(head):
        return Format.LEGACY
    raise Damaged(f"it begins with {_shown(head)}")


def _shown(head: bytes) -> str:
    start = head[:24]
    if start.isascii() and start.decode("ascii").isprintable():
        return f"the text {start.decode('ascii')!r}"
    return f"the bytes {start[:12].hex(' ')}"
