"""Safelight: a readable Stable Diffusion.

`import safelight` is light: torch is loaded when a name that needs it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from safelight.errors import BadCheckpoint, BadInput

if TYPE_CHECKING:
    from safelight.diffusion.grids import GRIDS
    from safelight.diffusion.samplers import SAMPLERS
    from safelight.pipeline import Pipeline, load

__version__ = "0.1.0"
__all__ = ["GRIDS", "SAMPLERS", "BadCheckpoint", "BadInput", "Pipeline", "__version__", "load"]

_HOMES = {
    "GRIDS": "safelight.diffusion.grids",
    "SAMPLERS": "safelight.diffusion.samplers",
    "Pipeline": "safelight.pipeline",
    "load": "safelight.pipeline",
}


def __getattr__(name: str) -> object:
    """Load the module where a public name lives, the first time that it is asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'safelight' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
