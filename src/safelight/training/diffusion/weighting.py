"""How much an error counts at each level of noise, one row for each name.

All weights are said of the error of the clean estimate, so that they mean the same whatever the network predicts.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from safelight.training.diffusion.settings import ObjectiveConfig

# The squared error of the clean estimate is that of the prediction divided by this. SNR = alpha_bar / (1 - alpha_bar),
# and noisy = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise (Salimans & Ho 2022, section 4 and appendix D).
PER_UNIT: dict[str, Callable[[Tensor], Tensor]] = {
    "epsilon": lambda snr: snr,
    "v": lambda snr: snr + 1,
    "x0": torch.ones_like,
}

# SNR, the weight that leaves the prediction's own error as it is, settings -> the weight of the clean estimate's error.
Weight = Callable[[Tensor, Tensor, ObjectiveConfig], Tensor]


def min_snr(snr: Tensor, own: Tensor, settings: ObjectiveConfig) -> Tensor:
    """min(SNR, limit) (Hang et al. 2023); without a limit, plain."""
    return snr.clamp(max=settings.snr_limit) if settings.snr_limit else own


def soft_min_snr(snr: Tensor, own: Tensor, settings: ObjectiveConfig) -> Tensor:
    """1 / (sigma² + 1 / limit) (Crowson et al. 2024): the same without a corner; without a limit, plain."""
    return snr * settings.snr_limit / (snr + settings.snr_limit) if settings.snr_limit else own


def edm(snr: Tensor, own: Tensor, settings: ObjectiveConfig) -> Tensor:
    """(sigma² + sigma_data²) / (sigma sigma_data)², with sigma² = 1 / SNR (Karras et al. 2022, equation 8, table 1)."""
    return snr + settings.data_spread**-2


WEIGHTINGS: dict[str, Weight] = {
    "plain": lambda snr, own, settings: own,  # Ho et al. 2020, equation 14
    "min_snr": min_snr,
    "soft_min_snr": soft_min_snr,
    "truncated_snr": lambda snr, own, settings: snr.clamp(min=1),  # Salimans & Ho 2022, section 4
    "edm": edm,
}


def weight(alpha_bar: Tensor, prediction: str, settings: ObjectiveConfig) -> Tensor:
    """What the squared error of a prediction counts at levels where that share of the picture is left, (b,)."""
    kept = alpha_bar.clamp(1e-6, 1 - 1e-6)
    snr = kept / (1 - kept)
    own = PER_UNIT[prediction](snr)
    return WEIGHTINGS[settings.weighting](snr, own, settings) / own
