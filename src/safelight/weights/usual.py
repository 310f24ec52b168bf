"""The arguments of a call that suit a model best, as its folder or its file says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safelight.errors import BadCheckpoint

USUAL = "usual.json"  # in a model's folder; diffusers passes it by
# Those that it may have.
ARGUMENTS = ("num_inference_steps", "guidance_scale", "guidance_start", "guidance_end", "sampler", "grid")


def known_arguments(where: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `found`; what the values may be is checked when a picture is asked for.

    where: what an error calls the place. Raises BadCheckpoint for a name that is not among ARGUMENTS.
    """
    unknown = [name for name in found if name not in ARGUMENTS]
    if unknown:
        raise BadCheckpoint(f"{where!r} has {', '.join(unknown)}; allowed are {', '.join(ARGUMENTS)}.")
    return dict(found)
