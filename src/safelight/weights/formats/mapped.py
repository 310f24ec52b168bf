"""A file mapped into memory: its tensors take no memory until they are used, and give it back when they go."""

from __future__ import annotations

import mmap
import weakref
from pathlib import Path

import torch
from torch import Tensor

PAGE = mmap.PAGESIZE
# Where the system can be told to forget pages (not on Windows). They hold nothing that the file has not.
FORGET: int | None = getattr(mmap, "MADV_DONTNEED", None)


class MappedFile:
    """The bytes of a file and the tensors that lie in it.

    Changing such a tensor never changes the file: what is written to is copied first, page by page.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self.size = len(self.bytes)

    def tensor(self, dtype: torch.dtype, start: int, end: int) -> Tensor:
        """The numbers from byte `start` to byte `end`, in one dimension; the caller has checked the range.

        Numbers that do not lie at a multiple of their own size are copied, since processors demand that.
        """
        if start == end:
            return torch.empty(0, dtype=dtype)
        piece = memoryview(self.bytes)[start:end]
        self._forget_with(piece, start, end)
        if start % dtype.itemsize:
            return torch.frombuffer(piece, dtype=torch.uint8).clone().view(dtype)
        return torch.frombuffer(piece, dtype=dtype)

    def _forget_with(self, piece: memoryview, start: int, end: int) -> None:
        """When the tensor over `piece` is gone, drop the pages that were its alone.

        The mapping itself stays while any tensor of the file lives; without this, a tensor that was converted to
        another type or layout would go on filling memory.
        """
        first, last = -(-start // PAGE) * PAGE, end // PAGE * PAGE
        if FORGET is not None and first < last:
            weakref.finalize(piece, self.bytes.madvise, FORGET, first, last - first).atexit = False
