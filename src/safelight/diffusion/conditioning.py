"""What a network is shown beside the noisy latent: the ways in which text, pictures and labels reach it.

Rombach et al. 2022, section 3.3: by cross-attention or joined to the latent; labels as in Dhariwal & Nichol 2021.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from safelight.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """One row for each picture of whatever the network takes; what it does not take is None.

    context: (b, n, d), read by cross-attention. beside: (b, c, h, w), joined to the latent's channels.
    label: (b,) int64 or (b, d), told to the residual blocks along with the noise level. guidance: (b,), the scale that
    a network distilled from a guided one is to imitate (Meng et al. 2023).
    """

    context: Tensor | None = None
    beside: Tensor | None = None
    label: Tensor | None = None
    guidance: Tensor | None = None


def stacked(first: Tensor | Conditioning, *others: Tensor | Conditioning) -> Tensor | Conditioning:
    """All rows in one batch, for one pass of the network; raises BadInput where they are not of one shape."""
    if isinstance(first, Tensor):
        return _joined("conditioning", [first, *others])
    rows = {
        field.name: [getattr(each, field.name, None) for each in (first, *others)] for field in fields(Conditioning)
    }
    return Conditioning(
        **{name: _joined(name, each) for name, each in rows.items() if any(x is not None for x in each)}
    )


def _joined(name: str, rows: list[Tensor | Conditioning | None]) -> Tensor:
    tensors = [row for row in rows if isinstance(row, Tensor)]
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if len(shapes) > 1 or len(tensors) < len(rows):
        given = ", ".join(str(tuple(row.shape)) if isinstance(row, Tensor) else "none" for row in rows)
        raise BadInput(f"{name} is {given} for the passes of one step; guidance needs the same shape.")
    return torch.cat(tensors)
