"""What a run prepares before its first step, in files of sixteen samples each; made again if of other things."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from safelight.errors import BadInput
from safelight.weights.files import write_tensors

AT_ONCE = 16


def prepare(
    folder: Path, count: int, fingerprint: str, make: Callable[[range], Mapping[str, Tensor]], what: str
) -> list[Path]:
    """The files of so many samples, in order; `make` gives the tensors (b, ...) of those at some places.

    fingerprint: of all that they are made of. what: they are, for the bar. Raises BadInput where the disk refuses; what
    was made until then is kept.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{str(folder)!r} cannot be made a folder: {error.strerror}.") from error
    files = []
    for number in tqdm(range(-(-count // AT_ONCE)), desc=what, unit="file", disable=None):
        files.append(folder / f"{number:05d}.safetensors")
        if _fingerprint(files[-1]) != fingerprint:
            places = range(number * AT_ONCE, min(count, (number + 1) * AT_ONCE))
            write_tensors(files[-1], make(places), {"fingerprint": fingerprint})
    return files


def _fingerprint(file: Path) -> str | None:
    """What a file's samples were made of; None for one that is absent or damaged."""
    try:
        with safe_open(file, "pt") as opened:
            found: str | None = (opened.metadata() or {}).get("fingerprint")
            return found
    except (OSError, SafetensorError):
        return None
