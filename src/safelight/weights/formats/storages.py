"""The numbers of a pickle's tensors, where they lie in the file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from safelight.weights.formats.faults import Damaged, quoted
from safelight.weights.formats.mapped import MappedFile
from safelight.weights.formats.views import Storage, View

ALIGNMENT = 16  # bytes: of the largest numbers


class StoredNumbers:
    """Storages by key, as byte ranges of a file; two windows on one storage share its memory."""

    def __init__(
        self, file: MappedFile, places: Mapping[str, tuple[int, int]], storages: Mapping[str, Storage]
    ) -> None:
        """Raises Damaged where a storage is missing or of another length than the pickle says."""
        for key, storage in storages.items():
            if key not in places:
                raise Damaged(f"storage {quoted(key)} is missing")
            start, end = places[key]
            if end - start != storage.size:
                raise Damaged(f"storage {quoted(key)} is said to have {storage.size} bytes and has {end - start}")
        self.file = file
        self.places = places
        self.opened: dict[str, Tensor] = {}

    def tensor(self, view: View) -> Tensor:
        """The tensor that `view` describes, still on disk where its place in the file allows that."""
        key = view.storage.key
        if key not in self.opened:
            start, end = self.places[key]
            numbers = self.file.tensor(torch.uint8, start, end)
            self.opened[key] = numbers.clone() if start % ALIGNMENT else numbers
        storage = self.opened[key].untyped_storage()
        return torch.empty(0, dtype=view.dtype).set_(storage, view.offset, view.shape, view.stride)
