"""What the hub's cache holds: looked up without a word to the network, and never written but for one small note.

The layout is huggingface_hub's, shared by all that use it: `snapshots/COMMIT/` has a repository's files under their own
names, `blobs/` what is in them, and `refs/REVISION` says which commit a branch or tag was when it was fetched.
Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from safelight.weights.hub.address import Address

COMMIT = re.compile(r"[0-9a-f]{40}")


def cache_folder() -> Path:
    """Where the cache is; HF_HUB_CACHE and HF_HOME move it."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def folder_of(address: Address) -> Path:
    """A repository's folder in the cache, whether or not it exists."""
    return cache_folder() / ("models--" + address.repository.replace("/", "--"))


def commit_of(address: Address) -> str | None:
    """The commit that a revision was when it was last fetched."""
    if COMMIT.fullmatch(address.revision):
        return address.revision
    try:
        noted = (folder_of(address) / "refs" / address.revision).read_text("utf-8").strip()
    except (OSError, ValueError):
        return None
    return noted if COMMIT.fullmatch(noted) else None


def note_commit(address: Address, commit: str) -> None:
    """Say that a revision is this commit; done when all of its files are there, so that the last one stays usable."""
    if COMMIT.fullmatch(address.revision):
        return
    note = folder_of(address) / "refs" / address.revision
    note.parent.mkdir(parents=True, exist_ok=True)
    partial = note.with_name(f".{note.name}.{secrets.token_hex(4)}")
    try:
        partial.write_text(commit, "utf-8")
        partial.replace(note)
    finally:
        partial.unlink(missing_ok=True)


def snapshot(address: Address, commit: str) -> Path:
    """The folder of a commit's files."""
    return folder_of(address) / "snapshots" / commit


def files_in(folder: Path) -> set[str]:
    """The files of a snapshot, from its root, with "/"; a link to nothing is not one."""
    found = (Path(at, name) for at, _, names in os.walk(folder) for name in names)
    return {file.relative_to(folder).as_posix() for file in found if file.is_file()}
