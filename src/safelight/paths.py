"""What can be asked of a path that a user typed, without a surprise."""

from __future__ import annotations

from pathlib import Path

from safelight.errors import BadInput


def is_there(path: Path) -> bool:
    """Whether there is a file or folder of that name; raises BadInput where that cannot even be asked."""
    try:
        return path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, or in a folder that may not be entered
        raise BadInput(f"{str(path)!r} cannot be looked at: {getattr(error, 'strerror', None) or error}.") from error
