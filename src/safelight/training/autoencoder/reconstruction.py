"""How far a reconstruction is from its picture: the error that the autoencoder minimises, pixels and edges."""

from __future__ import annotations

from torch import Tensor


def reconstruction_loss(
    reconstruction: Tensor, image: Tensor, *, absolute_weight: float, square_weight: float, edge_weight: float
) -> Tensor:
    """Weighted mean absolute and squared error of pixels, and absolute error of edges; both images (b, 3, h, w)."""
    difference = reconstruction - image
    error = absolute_weight * difference.abs().mean() + square_weight * difference.square().mean()
    for ours, theirs in zip(edges(reconstruction), edges(image), strict=True):
        error = error + edge_weight * (ours - theirs).abs().mean()
    return error


def edges(image: Tensor) -> tuple[Tensor, Tensor]:
    """Differences to the right and to the lower neighbour: (b, c, h, w - 1) and (b, c, h - 1, w)."""
    return image[..., :, 1:] - image[..., :, :-1], image[..., 1:, :] - image[..., :-1, :]
