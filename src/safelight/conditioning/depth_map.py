"""How a depth map is joined to the latent (Stable Diffusion 2's depth model), in training and in drawing."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def beside_depth(depth: Tensor, height: int, width: int) -> Tensor:
    """Depths (b, 1, H, W) in any unit -> (b, 1, height, width), each map stretched to [-1, 1]; a flat one is 0."""
    small = functional.interpolate(depth, size=(height, width), mode="bicubic", align_corners=False)
    low, high = small.amin((1, 2, 3), keepdim=True), small.amax((1, 2, 3), keepdim=True)
    spread = high - low
    return (2 * (small - low) / spread.where(spread > 0, 1) - 1).where(spread > 0, 0)
