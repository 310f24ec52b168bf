"""A folder of a model, written beside its place and moved there when it is whole."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from safelight.errors import BadInput
from safelight.paths import is_there


@contextmanager
def whole_folder(path: Path, *, mark: str, stale: Sequence[str] = ()) -> Iterator[Path]:
    """A new folder to fill; it takes the place of `path` when the block ends, and vanishes if the block fails.

    mark: the file that tells a model's folder. A folder that is not empty and has none is refused with BadInput. What
    else lies in a replaced folder moves along, but for what matches one of the patterns `stale`.
    """
    path = path.resolve()
    _check_replaceable(path, mark)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        _swap(partial, path, stale)
    except BadInput as error:  # of a file inside, by the name that it would have had
        raise type(error)(str(error).replace(str(partial), str(path))) from error
    except OSError as error:
        raise BadInput(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_replaceable(path: Path, mark: str) -> None:
    if is_there(path) and not path.is_dir():
        raise BadInput(f"{str(path)!r} is a file; a model is saved in a folder.")
    if path.is_dir() and path.samefile(os.curdir):
        raise BadInput(f"{str(path)!r} is the folder you are in, whose place a model would take; name another.")
    if path.is_dir() and any(path.iterdir()) and not (path / mark).is_file():
        raise BadInput(
            f"{str(path)!r} is a folder that is not empty and no model (it has no {mark}); "
            "give a new folder, an empty one, or that of a model to replace."
        )


def _swap(partial: Path, path: Path, stale: Sequence[str]) -> None:
    if not path.exists():
        partial.rename(path)
        return
    old = path.with_name(f".{path.name}.{secrets.token_hex(4)}.old")
    path.rename(old)
    try:
        partial.rename(path)
    except OSError:
        old.rename(path)
        raise
    for entry in list(old.iterdir()):
        if not (path / entry.name).exists() and not any(map(entry.match, stale)):
            entry.rename(path / entry.name)
    shutil.rmtree(old, ignore_errors=True)
