"""Cheap previews: a linear map from latents to colours, good enough to watch a picture appear.

The map is fitted once to the autoencoder itself, on flat colours: no numbers to be copied from model to model.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor

from safelight.autoencoder.autoencoder import Autoencoder
from safelight.autoencoder.pixels import Pixels
from safelight.autoencoder.tiny import TinyAutoencoder, WithTinyDecoder

SHADES = (-0.9, 0.0, 0.9)  # of red, green and blue: 27 flat colours
POSITIONS = 4  # latents of 4 x 4


@torch.no_grad()
def latent_colours(autoencoder: Autoencoder | TinyAutoencoder | WithTinyDecoder | Pixels) -> Callable[[Tensor], Tensor]:
    """A function from unscaled latents (b, c, h, w) to small images (b, 3, h, w) in [-1, 1]."""
    weight = next(autoencoder.parameters(), torch.zeros(0))
    colours = torch.cartesian_prod(*[torch.tensor(SHADES)] * 3)
    side = POSITIONS * autoencoder.config.factor
    flat = colours[:, :, None, None].expand(-1, -1, side, side).to(weight)
    means = torch.cat([autoencoder.encode(one).mean for one in flat.split(9)]).float()
    rows = means.mean(dim=(2, 3)).cpu()
    solution = torch.linalg.lstsq(torch.cat([rows, torch.ones(len(rows), 1)], dim=1), colours).solution.to(
        weight.device
    )

    def preview(latent: Tensor) -> Tensor:
        positions = rearrange(latent.float(), "b c h w -> b h w c")
        return rearrange(positions @ solution[:-1] + solution[-1], "b h w c -> b c h w").clamp(-1, 1)

    return preview
