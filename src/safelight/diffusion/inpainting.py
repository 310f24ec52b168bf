"""Inpainting with any model: what is known of the picture stays, the rest is drawn to fit.

The replacement method of Song, Sohl-Dickstein et al. 2021, appendix I.2: before each estimate the known region is set
to the known latent at that noise level; after it, to the known latent itself.
"""

from __future__ import annotations

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser


def inpainting(denoiser: Denoiser, known: Tensor, mask: Tensor, noise: Tensor) -> Denoiser:
    """`denoiser` that redraws only where `mask` is 1.

    known: (b, c, h, w) clean latent. mask: (b or 1, 1, h, w) in [0, 1]; 0 keeps. noise: (b, c, h, w) unit variance,
    the start noise, so that the known region lies on one straight path from noise to picture.
    """

    def masked(x: Tensor, sigma: Tensor) -> Tensor:
        level = sigma if sigma.ndim == 0 else sigma.to(x).reshape(-1, 1, 1, 1)
        denoised = denoiser(mask * x + (1 - mask) * (known + level * noise), sigma)
        return mask * denoised + (1 - mask) * known

    return masked
