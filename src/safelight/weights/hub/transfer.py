"""One large file from the hub into the cache: goes on where it stopped, and is checked before it counts.

huggingface_hub throws an unfinished download away when the process ends. Here it stays, as `blobs/SHA256.incomplete`;
only a file whose digest is the one that the hub promised gets the name of a blob.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from safelight import __version__
from safelight.errors import BadInput
from safelight.weights.hub.address import Address
from safelight.weights.hub.cache import cache_folder, folder_of

SHA256 = re.compile(r"[0-9a-f]{64}")
PIECE = 1 << 22  # bytes read at once


def receive_blob(url: str, name: str, address: Address) -> Path | None:
    """Put the file at `url` into the repository's blobs, if the hub gives its SHA-256, as it does for large files.

    The path is the blob's; None stands for a file that is left to huggingface_hub.
    Raises BadInput where what arrives is not that file; what huggingface_hub raises where nothing arrives.
    """
    from huggingface_hub import get_hf_file_metadata
    from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]

    headers = build_hf_headers(library_name="safelight", library_version=__version__)
    file = get_hf_file_metadata(url, headers=headers)
    if file.size is None or not SHA256.fullmatch(file.etag or ""):
        return None
    sha256 = str(file.etag)
    blob = folder_of(address) / "blobs" / sha256
    lock = cache_folder() / ".locks" / folder_of(address).name / f"{sha256}.lock"  # where huggingface_hub has it
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.exists():
            return blob
        partial = partial_of(blob)
        resumed = _receive(url, name, headers, file.size, partial)
        if _sha256(partial) != sha256 and resumed:  # the beginning may be what is wrong
            partial.unlink()
            _receive(url, name, headers, file.size, partial)
        if (arrived := _sha256(partial)) != sha256:
            partial.unlink()
            raise BadInput(
                f"{name!r} of {str(address)!r} arrived damaged: its SHA-256 is {arrived}, and the hub says {sha256}; "
                "it was thrown away, try again."
            )
        partial.replace(blob)
    return blob


def partial_of(blob: Path) -> Path:
    """Where a blob is while it arrives."""
    return blob.with_name(f"{blob.name}.incomplete")


def _receive(url: str, name: str, headers: dict[str, str], size: int, partial: Path) -> bool:
    """Append what is missing of a file; says whether some of it was there."""
    from huggingface_hub.file_download import http_get

    if partial.exists() and partial.stat().st_size > size:
        partial.unlink()
    # Sizes and ranges are those of the file itself, so it must not be packed on its way.
    headers = {**headers, "Accept-Encoding": "identity"}
    with partial.open("ab") as file:
        already = file.tell()
        http_get(url, file, resume_size=already, headers=headers, expected_size=size, displayed_filename=name)
        file.flush()
        os.fsync(file.fileno())
    return already > 0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
