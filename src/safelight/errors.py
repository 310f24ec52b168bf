"""The two ways in which Safelight says no."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BadInput(ValueError):
    """What the caller gave cannot be used; the message names the value and what is allowed."""


class BadCheckpoint(BadInput):
    """A file of weights is damaged, of another architecture, or not what its configuration says."""


def unknown_name(kind: str, name: object, allowed: Iterable[str]) -> BadInput:
    """The error for a name that no registry holds, with the nearest one that it does hold."""
    names = sorted(allowed)
    nearest = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return BadInput(f"{kind} {name!r} is unknown.{hint} Allowed: {', '.join(names)}.")
