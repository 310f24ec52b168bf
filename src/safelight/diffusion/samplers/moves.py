"""The two moves that samplers are made of: straight towards a clean estimate, and there with fresh noise.

Both are exact where the clean estimate stays the same between the two sigmas; samplers differ in which estimate they
put in. In the variance-preserving picture the first is DDIM's step, the second DDPM's.
"""

from __future__ import annotations

from torch import Tensor

from safelight.diffusion.noise import NoiseSource


def noise_estimate(x: Tensor, denoised: Tensor, sigma: Tensor) -> Tensor:
    """dx / dsigma, the noise in x: (x - denoised) / sigma (Karras et al. 2022, equations 1 and 3)."""
    return (x - denoised) / sigma


def toward(x: Tensor, denoised: Tensor, sigma: Tensor, next_sigma: Tensor) -> Tensor:
    """Take x from `sigma` to `next_sigma` straight towards `denoised` (Song, Meng & Ermon 2021, equation 13)."""
    return x + (next_sigma - sigma) * noise_estimate(x, denoised, sigma)


def ancestral(x: Tensor, denoised: Tensor, sigma: Tensor, next_sigma: Tensor, noise: NoiseSource) -> Tensor:
    """Draw x at `next_sigma` from its distribution, given x at `sigma` and a clean picture `denoised`.

    Ho et al. 2020, equation 6, in the sigma picture: go down to next_sigma^2 / sigma, then add the missing noise.
    """
    if next_sigma == 0:
        return toward(x, denoised, sigma, next_sigma)
    down = next_sigma**2 / sigma
    up = (next_sigma**2 - down**2).clamp(min=0).sqrt()
    return toward(x, denoised, sigma, down) + up * noise()
