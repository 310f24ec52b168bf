"""Where a published vocabulary may lie on a machine: in a folder, in an installed package, in the cache of the hub."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where to look for one vocabulary.

    files: the names that it has in a folder, the surest first. carriers: (package, path inside it). snapshots:
    patterns of folders in the cache of the hub.
    """

    files: tuple[str, ...]
    carriers: tuple[tuple[str, str], ...]
    snapshots: tuple[str, ...]


def in_folder(folder: Path, places: Places) -> Iterator[Path]:
    """The files in a folder, or in the tokenizer of the model that lies there."""
    for inner in (folder, folder / "tokenizer"):
        yield from (inner / name for name in places.files if (inner / name).is_file())


def in_packages(places: Places) -> Iterator[Path]:
    """The files in installed packages, which are found without running any of their code."""
    for package, inside in places.carriers:
        try:
            found = importlib.util.find_spec(package)
        except (ImportError, ValueError):  # half-installed, or a module that somebody put together by hand
            continue
        folders = found.submodule_search_locations if found else None
        yield from (Path(folder, inside) for folder in folders or () if Path(folder, inside).is_file())


def in_cache(places: Places) -> Iterator[Path]:
    """The files of models that were fetched earlier, by Safelight or by anything else that uses the hub's cache."""
    cache = _cache()
    for pattern in places.snapshots:
        for folder in sorted(cache.glob(pattern)):
            yield from (folder / name for name in places.files if (folder / name).is_file())


def _cache() -> Path:
    """The cache folder that huggingface_hub would use, by the variables that it documents."""
    if named := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(named).expanduser()
    home = os.environ.get("HF_HOME")
    if not home:
        home = str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"))
    return Path(home, "hub").expanduser()
