"""Tensors as a pickle describes them: windows on storages, whose numbers lie elsewhere in the file.

Nothing here touches the numbers. A window must lie within its storage and hold no more numbers than that does, so a
few bytes cannot ask for a huge tensor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from safelight.weights.formats.faults import Damaged, quoted

MOST_DIMENSIONS = 32


@dataclass(frozen=True)
class StorageType:
    """The class of a storage, which tells the type of its numbers."""

    dtype: torch.dtype


@dataclass(frozen=True)
class Storage:
    """A run of numbers in the file under a key; dtype: of a window that names none."""

    key: str
    dtype: torch.dtype
    size: int  # in bytes


@dataclass(frozen=True)
class View:
    """A window on a storage; offset, shape and stride count numbers of `dtype`."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def what(self) -> str:
        """In words, such as "float32 tensor 320x4x3x3"."""
        return f"{str(self.dtype).removeprefix('torch.')} tensor {'x'.join(map(str, self.shape)) or 'of one number'}"


def storage_of(value: object) -> Storage:
    """The storage that a persistent id names: ("storage", its class, key, device, how many numbers[, None])."""
    if not isinstance(value, tuple) or len(value) not in (5, 6) or value[0] != "storage":
        raise Damaged("its pickle refers to something outside it that is no storage")
    _, kind, key, _, count = value[:5]
    if len(value) == 6 and value[5] is not None:
        raise Damaged(f"storage {quoted(str(key))} is part of another storage, as PyTorch before 0.4 wrote it")
    if not isinstance(kind, StorageType) or not isinstance(key, str) or type(count) is not int or count < 0:
        raise Damaged(f"storage {quoted(str(key)[:200])} is not described as PyTorch does")
    return Storage(key, kind.dtype, count * kind.dtype.itemsize)


def view_of(storage: object, dtype: torch.dtype | None, offset: object, shape: object, stride: object) -> View:
    """The tensor of those sizes; dtype: None is the storage's. Raises Damaged where it reaches out of its storage."""
    if not isinstance(storage, Storage):
        raise Damaged("its pickle makes a tensor of something that is no storage")
    sizes, steps = _numbers(storage, shape), _numbers(storage, stride)
    if type(offset) is not int or offset < 0 or len(sizes) != len(steps):
        raise Damaged(f"a tensor in storage {quoted(storage.key)} has an offset or strides that are no place in it")
    view = View(storage, dtype or storage.dtype, offset, sizes, steps)
    count, held = math.prod(sizes), storage.size // view.dtype.itemsize
    last = offset + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True)) if count else offset - 1
    if last >= held or count > held:
        raise Damaged(
            f"a {view.what} reaches number {last} of storage {quoted(storage.key)} and has {count}; "
            f"the storage has {held}"
        )
    return view


def _numbers(storage: Storage, values: object) -> tuple[int, ...]:
    if isinstance(values, tuple | list) and len(values) <= MOST_DIMENSIONS:
        numbers = tuple(value for value in values if type(value) is int and 0 <= value < 2**63)
        if len(numbers) == len(values):
            return numbers
    raise Damaged(f"a tensor in storage {quoted(storage.key)} has a shape or strides that are no whole numbers")
