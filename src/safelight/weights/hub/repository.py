"""A repository of the hub at one commit: which files it has, and each of them in the cache."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from safelight import __version__
from safelight.errors import BadInput
from safelight.weights.hub.address import Address, is_inside
from safelight.weights.hub.cache import COMMIT, cache_folder, folder_of, snapshot
from safelight.weights.hub.selection import WEIGHTS, NotThere
from safelight.weights.hub.transfer import partial_of, receive_blob


@dataclass(frozen=True)
class Repository:
    """One commit and the files that it lists: name -> (size in bytes, name of its blob)."""

    address: Address
    commit: str
    files: dict[str, tuple[int, str]]

    @classmethod
    def open(cls, address: Address) -> Repository:
        """Ask the hub for the commit and its list of files: one call."""
        from huggingface_hub import HfApi

        info = HfApi(library_name="safelight", library_version=__version__).model_info(
            address.repository, revision=address.revision, files_metadata=True, timeout=10
        )
        files = {
            file.rfilename: (file.size or 0, file.lfs.sha256 if file.lfs else str(file.blob_id))
            for file in info.siblings or []
            if is_inside(file.rfilename)  # what is not, such as "../name", is as if it were not listed
        }
        if not COMMIT.fullmatch(str(info.sha)):
            raise BadInput(f"The hub gives {info.sha!r} as the commit of {str(address)!r}; it must be 40 hex digits.")
        return cls(address, str(info.sha), files)

    def get(self, name: str) -> Path:
        """One file, downloaded unless it is in the cache; raises NotThere for one that the hub lists and has not."""
        from huggingface_hub import hf_hub_download, hf_hub_url
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        place = snapshot(self.address, self.commit) / name
        if place.is_file():
            return place
        repository = self.address.repository
        try:
            blob = None
            if name.endswith(WEIGHTS):
                blob = receive_blob(hf_hub_url(repository, name, revision=self.commit), name, self.address)
            # Where the blob has arrived, this gives it its name; where not, it fetches it as well.
            hf_hub_download(
                repository, name, revision=self.commit, library_name="safelight", library_version=__version__
            )
        except LocalEntryNotFoundError:
            raise  # no answer, and nothing in the cache
        except EntryNotFoundError as error:
            raise NotThere(f"{repository!r} lists {name!r}, and the hub does not have it.") from error
        if blob is not None and not place.is_symlink():
            blob.unlink(missing_ok=True)  # no links can be made here, so it was copied: once on the disk is enough
        return place

    def check_room(self, files: Iterable[str]) -> None:
        """Raise BadInput unless the disk has room for those of the files that are not here yet."""
        needed = sum(self._size_left(name) for name in files)
        existing = next(parent for parent in (cache_folder(), *cache_folder().parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        if needed > free:
            raise BadInput(
                f"{str(self.address)!r} needs {needed / 1e9:.1f} GB more, and {str(cache_folder())!r} has "
                f"{free / 1e9:.1f} GB free; make room, or set HF_HUB_CACHE to a folder on a larger disk."
            )

    def _size_left(self, name: str) -> int:
        """How many bytes of a file are still to come."""
        size, blob = self.files[name]
        blobs = folder_of(self.address) / "blobs"
        if (snapshot(self.address, self.commit) / name).is_file() or (blobs / blob).is_file():
            return 0
        partial = partial_of(blobs / blob)
        return size - partial.stat().st_size if partial.is_file() else size
