"""Classifier-free guidance: push a prediction from what no prompt gives towards what the prompt gives.

Ho & Salimans 2022, equation 6; its form for a prompt and a picture, Brooks et al. 2023, equation 3; the rescaling of
Lin et al. 2023, equations 15 and 16; and guidance at some of the noise levels alone, Kynkaanniemi et al. 2024,
section 3. All act on what the network predicts (epsilon or v), so a guided network is again a network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from safelight.diffusion.conditioning import Conditioning, stacked
from safelight.diffusion.denoiser import Network
from safelight.errors import BadInput

# latent, timestep, conditioning -> prediction; the conditioning is a context (b, n, d) alone, or all that is shown
ConditionedNetwork = Callable[[Tensor, Tensor, Any], Tensor]


class Interval(NamedTuple):
    """The timesteps at which a network is steered, both ends counted. Default: all."""

    lowest: float = 0.0
    highest: float = math.inf

    def holds(self, timestep: Tensor) -> bool:
        """Whether pictures, all at one timestep (b,), are steered."""
        return self == ALWAYS or self.lowest <= float(timestep[0]) <= self.highest  # a GPU is asked only if need be


ALWAYS = Interval()
NEVER = Interval(math.inf, -math.inf)


class Guidance(NamedTuple):
    """How a network is steered.

    scale: 1 is no guidance and costs one pass, 0 is the unconditional prediction. rescale: in [0, 1], the share of the
    prediction that gets the spread of the conditional one. interval: outside of it nothing is steered.
    """

    scale: float
    rescale: float = 0.0
    interval: Interval = ALWAYS


def conditioned(network: ConditionedNetwork, conditioning: Tensor | Conditioning) -> Network:
    """`network` with its conditioning bound, one row for each picture."""

    def predict(latent: Tensor, timestep: Tensor) -> Tensor:
        return network(latent, timestep, conditioning)

    return predict


def guided(
    network: ConditionedNetwork,
    conditioning: Tensor | Conditioning,
    unconditional: Tensor | Conditioning,
    scale: float,
    rescale: float = 0.0,
    interval: Interval = ALWAYS,
) -> Network:
    """`network` steered away from what `unconditional` gives, as `Guidance` says.

    conditioning, unconditional: contexts (b, n, d), or all that is shown. Where it is steered, both passes run in one
    batch of 2b, the unconditional first.
    """
    _check(scale, rescale)
    shown = stacked(unconditional, conditioning)
    alone = conditioned(network, conditioning)
    if scale == 1:
        return alone

    def predict(latent: Tensor, timestep: Tensor) -> Tensor:
        if not interval.holds(timestep):
            return alone(latent, timestep)
        both = network(torch.cat([latent, latent]), torch.cat([timestep, timestep]), shown)
        without, along = both.chunk(2)
        return rescaled(without + scale * (along - without), along, rescale)

    return predict


def guided_twice(
    network: ConditionedNetwork,
    full: Conditioning,
    picture_only: Conditioning,
    nothing: Conditioning,
    *,
    picture_scale: float,
    scale: float,
    rescale: float = 0.0,
    interval: Interval = ALWAYS,
) -> Network:
    """`network` steered towards a picture by `picture_scale`, and from there towards a prompt, as `Guidance` says.

    full: both are shown. Three passes in one batch of 3b where it is steered.
    """
    _check(scale, rescale)
    _check(picture_scale, rescale)
    shown = stacked(nothing, picture_only, full)

    def predict(latent: Tensor, timestep: Tensor) -> Tensor:
        if not interval.holds(timestep):
            return network(latent, timestep, full)
        without, picture, both = network(torch.cat([latent] * 3), torch.cat([timestep] * 3), shown).chunk(3)
        prediction = without + picture_scale * (picture - without) + scale * (both - picture)
        return rescaled(prediction, both, rescale)

    return predict


def _check(scale: float, rescale: float) -> None:
    if not math.isfinite(scale):
        raise BadInput(f"guidance scale is {scale}; it must be a finite number (1 means no guidance).")
    if not 0 <= rescale <= 1:
        raise BadInput(f"guidance rescale is {rescale}; it must be between 0 and 1.")


def rescaled(prediction: Tensor, conditional: Tensor, share: float) -> Tensor:
    """Give `share` of `prediction` (b, c, h, w) the standard deviation, per picture, of `conditional`.

    Lin et al. 2023, equations 15 and 16: guidance widens a prediction, which overexposes the picture.
    """
    if share == 0:
        return prediction
    axes = tuple(range(1, prediction.ndim))
    ratio = conditional.std(dim=axes, keepdim=True) / prediction.std(dim=axes, keepdim=True)
    return share * (prediction * ratio) + (1 - share) * prediction
