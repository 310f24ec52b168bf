"""What it takes until a file is safe on a disk, and the sentence for a disk that refuses."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from safelight.errors import BadInput

UNFINISHED = "unfinished"  # the folder in which a checkpoint is written before it takes its place


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says of a failed write into BadInput that names the file."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise BadInput(
            f"{str(path)!r} cannot be written: {error}; the run ends here, and what it saved before is whole."
        ) from error


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, has reached the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders, and writes their changes in order
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(run: Path) -> None:
    """Delete what a killed trainer left half-written in its run's folder."""
    for debris in [*run.glob(f"*/{UNFINISHED}"), *run.rglob("*.partial")]:
        with writing(debris):
            shutil.rmtree(debris) if debris.is_dir() else debris.unlink(missing_ok=True)
