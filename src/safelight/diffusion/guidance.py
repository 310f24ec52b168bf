"""Classifier-free guidance: push a prediction from what no prompt gives towards what the prompt gives.

Ho & Salimans 2022, equation 6, and the rescaling of Lin et al. 2023, equations 15 and 16. Both act on what the
network predicts (epsilon or v), so a guided network is again a network.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from safelight.diffusion.denoiser import Network
from safelight.errors import BadInput

ConditionedNetwork = Callable[[Tensor, Tensor, Tensor], Tensor]  # latent, timestep, context -> prediction


def conditioned(network: ConditionedNetwork, conditioning: Tensor) -> Network:
    """`network` with its context bound: conditioning (b, n, d), one row for each picture."""

    def predict(latent: Tensor, timestep: Tensor) -> Tensor:
        return network(latent, timestep, conditioning)

    return predict


def guided(
    network: ConditionedNetwork, conditioning: Tensor, unconditional: Tensor, scale: float, rescale: float = 0.0
) -> Network:
    """`network` steered by `scale`: 1 is no guidance and costs one pass, 0 is the unconditional prediction.

    conditioning, unconditional: (b, n, d). Otherwise both passes run in one batch of 2b, the unconditional first.
    `rescale` in [0, 1] gives that share of the prediction the spread of the conditional one.
    """
    if not math.isfinite(scale):
        raise BadInput(f"guidance scale is {scale}; it must be a finite number (1 means no guidance).")
    if not 0 <= rescale <= 1:
        raise BadInput(f"guidance rescale is {rescale}; it must be between 0 and 1.")
    if conditioning.shape != unconditional.shape:
        raise BadInput(
            f"conditioning is {tuple(conditioning.shape)} and unconditional {tuple(unconditional.shape)}; "
            "guidance needs the same shape."
        )
    if scale == 1:
        return conditioned(network, conditioning)
    context = torch.cat([unconditional, conditioning])

    def predict(latent: Tensor, timestep: Tensor) -> Tensor:
        both = network(torch.cat([latent, latent]), torch.cat([timestep, timestep]), context)
        without, along = both.chunk(2)
        return rescaled(without + scale * (along - without), along, rescale)

    return predict


def rescaled(prediction: Tensor, conditional: Tensor, share: float) -> Tensor:
    """Give `share` of `prediction` (b, c, h, w) the standard deviation, per picture, of `conditional`.

    Lin et al. 2023, equations 15 and 16: guidance widens a prediction, which overexposes the picture.
    """
    if share == 0:
        return prediction
    axes = tuple(range(1, prediction.ndim))
    ratio = conditional.std(dim=axes, keepdim=True) / prediction.std(dim=axes, keepdim=True)
    return share * (prediction * ratio) + (1 - share) * prediction
