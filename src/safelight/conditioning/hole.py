"""How a picture with a hole is joined to the latent: alike where a model is trained and where it draws.

Rombach et al. 2022, section 4.5, without text; Stable Diffusion's inpainting models, with it. They join mask and
masked picture in different orders and measure them differently.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

GREY, BLACK = 0.0, -1.0  # of what is hidden, in [-1, 1]: with text, and without


def with_hole(image: Tensor, mask: Tensor, shade: float) -> Tensor:
    """Images (b, 3, H, W) with that shade wherever the mask (b, 1, H, W) is 1."""
    return image * (1 - mask) + shade * mask


def shrunk(mask: Tensor, factor: int) -> Tensor:
    """(b, 1, H, W) -> (b, 1, H / factor, W / factor), one pixel of each square, as these models were trained."""
    return functional.interpolate(mask, size=(mask.shape[2] // factor, mask.shape[3] // factor), mode="nearest")


def beside_text(masked: Tensor, mask: Tensor, factor: int) -> Tensor:
    """What Stable Diffusion joins: the mask, 1 is redrawn, and the scaled latent (b, c, h, w) of the picture."""
    return torch.cat([shrunk(mask, factor).to(masked), masked], dim=1)


def beside_nothing(masked: Tensor, mask: Tensor, factor: int) -> Tensor:
    """What the paper's own model joins: the scaled latent (b, c, h, w) of the picture, and the mask in [-1, 1]."""
    return torch.cat([masked, shrunk(2 * mask - 1, factor).to(masked)], dim=1)
