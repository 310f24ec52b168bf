"""How near pictures come to their originals: PSNR, SSIM (Wang et al. 2004) and structure at several scales (2003).

Pictures are (b, 3, h, w) in [-1, 1]. All is measured in float32, also under autocast: variances are small differences
of large numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from safelight.errors import BadInput

WINDOW, SPREAD = 11, 1.5  # pixels of the Gaussian window, and its standard deviation (Wang et al. 2004, section III-C)
C1, C2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2  # the same, for a range of 2
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # their weights, finest first (Wang, Simoncelli & Bovik 2003)


def psnr(reconstruction: Tensor, image: Tensor) -> Tensor:
    """(b,) peak signal-to-noise ratio in decibels, of images (b, 3, h, w) in [-1, 1] after rounding to 8 bits."""
    rounded = _eight_bits(reconstruction)
    return -10 * torch.log10((rounded - image).square().flatten(1).mean(1).clamp_min(1e-10) / 4)


def ssim(reconstruction: Tensor, image: Tensor) -> Tensor:
    """(b,) structural similarity, 1 for equal pictures (Wang et al. 2004, equation 13), after rounding to 8 bits.

    The mean over the colours and over all windows that lie wholly in the picture. Raises BadInput for pictures of less
    than 11 pixels each way.
    """
    luminance, structure = _similarities(_eight_bits(reconstruction), image)
    return (luminance * structure).flatten(1).mean(1)


def structural_distance(reconstruction: Tensor, image: Tensor) -> Tensor:
    """(b,) how far the structures of two pictures differ at up to five scales, 0 for equal ones; it can be minimised.

    MS-SSIM (Wang, Simoncelli & Bovik 2003, equation 7) is a product of similarities with exponents. This is one minus
    its logarithm to first order, their weighted mean: the same for like pictures, but its gradients stay bounded, and
    it stays defined, where pictures are still so far apart that a similarity is near zero or below. There are as many
    scales as the picture has room for. Raises BadInput for pictures of less than 11 pixels each way.
    """
    one, other = reconstruction, image
    weights = SCALES[: _scales_with_room(one)]
    distance = torch.zeros(len(one), device=one.device)
    for scale, weight in enumerate(weights):
        luminance, structure = _similarities(one, other)
        coarsest = scale == len(weights) - 1
        similarity = luminance * structure if coarsest else structure
        distance = distance + weight / sum(weights) * (1 - similarity.flatten(1).mean(1))
        if not coarsest:
            one, other = functional.avg_pool2d(one, 2), functional.avg_pool2d(other, 2)
    return distance


def _similarities(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Equations 6, and 9 with 10, of Wang et al. 2004: likeness of luminance, of contrast and structure.

    Both (b, 3, h - 10, w - 10), one for each window.
    """
    if min(one.shape[-2:]) < WINDOW:
        size = " x ".join(map(str, one.shape[-2:]))
        raise BadInput(f"The pictures have {size} pixels; SSIM needs at least {WINDOW} each way.")
    one, other = one.float() + 1, other.float() + 1  # luminance is compared on a scale where black is 0
    mean_one, mean_other, square_one, square_other, product = _blurred(
        torch.stack([one, other, one.square(), other.square(), one * other])
    )
    variances = square_one - mean_one.square() + square_other - mean_other.square()
    covariance = product - mean_one * mean_other
    luminance = (2 * mean_one * mean_other + C1) / (mean_one.square() + mean_other.square() + C1)
    return luminance, (2 * covariance + C2) / (variances + C2)


def _blurred(maps: Tensor) -> Tensor:
    """(..., h, w) -> (..., h - 10, w - 10): the mean of each window, weighted by a Gaussian."""
    height, width = maps.shape[-2:]
    with torch.autocast(maps.device.type, enabled=False):
        return _windows(height, maps.device) @ maps @ _windows(width, maps.device).T


def _windows(side: int, device: torch.device) -> Tensor:
    """(side - 10, side): a Gaussian window at each place where it lies wholly on a line of that many pixels.

    A product with such a matrix is several times faster on the CPU than a convolution of one channel.
    """
    places = torch.arange(side, device=device) - torch.arange(side - WINDOW + 1, device=device)[:, None]
    window = torch.exp(-(places - WINDOW // 2).square() / (2 * SPREAD**2)) * ((places >= 0) & (places < WINDOW))
    return window / window.sum(dim=1, keepdim=True)


def _scales_with_room(image: Tensor) -> int:
    """How many of the scales have at least one whole window."""
    side, count = min(image.shape[-2:]), 1
    while count < len(SCALES) and side // 2 >= WINDOW:
        side, count = side // 2, count + 1
    return count


def _eight_bits(image: Tensor) -> Tensor:
    return ((image.float().clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
