"""What the eye sees beyond pixels, told without a downloaded network: structure, or the features of a network of ours.

Pixel errors are smallest for the mean of all pictures that would do, which is blurred. Published autoencoders add LPIPS
(Zhang et al. 2018), whose network learnt from pictures and judgements that users would have to download. Here:

- ms_ssim compares luminance, contrast and structure in windows at several scales (Wang, Simoncelli & Bovik 2003); it
  needs no network at all.
- features is the distance of LPIPS, without its learnt weights, in the layers of a classifier that this project trained
  on the same pictures (`safelight train classifier`). Zhang et al. find such distances near to what people see for
  networks of many kinds and tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from safelight.evaluation.classifier import Classifier, load_classifier
from safelight.evaluation.fidelity import structural_distance
from safelight.training.autoencoder.settings import ComparisonConfig

Perceptual: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # reconstruction and image (b, 3, h, w) -> scalar
EPSILON = 1e-10  # keeps a position without any feature from being divided by zero


def no_distance(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Zero."""
    return reconstruction.new_zeros(())


def mean_structural_distance(reconstruction: Tensor, image: Tensor) -> Tensor:
    """The mean of `structural_distance` over the pictures."""
    return structural_distance(reconstruction, image).mean()


class FeatureDistance:
    """How far the features of two pictures are apart in all layers of a classifier."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier.eval().requires_grad_(False)

    def __call__(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """The mean of equation 1 of Zhang et al. 2018 over pictures and layers; every channel has weight 1."""
        self.classifier.to(image.device)
        with torch.no_grad():
            theirs = list(_directions(self.classifier, image))
        distances = [
            (ours - known).square().sum(1).mean()
            for ours, known in zip(_directions(self.classifier, reconstruction), theirs, strict=True)
        ]
        return torch.stack(distances).mean()


PERCEPTUAL: dict[str, Callable[[ComparisonConfig], Perceptual]] = {
    "none": lambda settings: no_distance,
    "ms_ssim": lambda settings: mean_structural_distance,
    "features": lambda settings: FeatureDistance(load_classifier(Path(settings.features))),
}


def _directions(classifier: Classifier, image: Tensor) -> Iterator[Tensor]:
    """The features (b, c, h, w) of each layer, those of each position brought to length 1."""
    x = classifier.stem(image)
    for block in classifier.blocks:
        x = block(x)
        yield functional.normalize(x.float(), dim=1, eps=EPSILON)
