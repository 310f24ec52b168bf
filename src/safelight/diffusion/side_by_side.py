"""Run the pictures of a batch one at a time, so that no picture depends on its neighbours, to the last bit.

Matrix products of another batch size may round differently; a seed would then not name one picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.errors import BadInput


def side_by_side(denoisers: Sequence[Denoiser]) -> Denoiser:
    """The denoiser of a batch in which picture i is given, alone, to `denoisers[i]`.

    Each may hold its own conditioning. x: (b, c, h, w) with b denoisers; sigma: scalar or (b,).
    """

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        if len(x) != len(denoisers):
            raise BadInput(f"the batch has {len(x)} pictures; there are {len(denoisers)} denoisers, one for each.")
        levels = sigma.expand(len(x))
        return torch.cat([one(x[i : i + 1], levels[i]) for i, one in enumerate(denoisers)])

    return denoiser
