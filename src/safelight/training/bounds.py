"""The check that settings lie where they must."""

from __future__ import annotations

from typing import Any

from safelight.errors import BadInput


def check_bounds(where: str, settings: Any, lowest: float, highest: float, *names: str) -> None:
    """Raise BadInput unless the fields of those names lie in [lowest, highest]."""
    for name in names:
        value = getattr(settings, name)
        if not lowest <= value <= highest:
            limit = f"from {lowest:g} to {highest:g}" if highest != float("inf") else f"at least {lowest:g}"
            raise BadInput(f"{where}.{name} is {value}; it must be {limit}.")
