"""A recognised part becomes a network, strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from safelight.errors import BadCheckpoint
from safelight.weights.recognition.contents import Found
from safelight.weights.recognition.shapes import Shapes
from safelight.weights.strict import load_strictly

# Training files hold the weights as they were last, and their moving average, which draws better pictures.
Weights = Literal["averaged", "raw"]


def open_found(
    part: Found, path: Path, tensors: dict[str, Tensor], dtype: torch.dtype | None, weights: Weights = "averaged"
) -> Any:
    """The network of one part; its tensors are taken out of `tensors`, so that they leave memory once converted.

    weights: "averaged" takes the moving averages where the file has them. Raises BadCheckpoint.
    """
    if part.form is None:
        raise BadCheckpoint(f"{str(path)!r}: the {part.kind} is opened by adapters, not as a part of a model.")
    if part.fault:
        raise BadCheckpoint(f"{str(path)!r}: {part.fault}")
    averaged = part.averaged if weights == "averaged" else {}
    if averaged and len(averaged) < len(part.names):
        raise BadCheckpoint(
            f"{str(path)!r}: {len(averaged)} of {len(part.names)} tensors of the {part.kind} have a moving average; "
            'all must have one, or pass weights="raw".'
        )
    own = {name[len(part.prefix) :]: tensors.pop(averaged.get(name, name)) for name in part.names}
    form = part.form
    table = form.keys(part.config, Shapes(part.kind, own))

    def build() -> nn.Module:
        return form.build(part.config)

    network = load_strictly(part.kind.replace("_", " "), build, table, path, own, dtype=None)
    own.clear()  # so that each leaves memory once it is converted
    return network if dtype is None else network.to(dtype)
