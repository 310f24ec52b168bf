"""Networks that turn pictures into features to compare them by, each under a name that tells it from all others.

A distance in the features of one network says nothing about one in another's: every figure bears the network's name,
which is its kind and the beginning of a hash of its weights and of what it does to pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from safelight.errors import BadInput
from safelight.evaluation.clip_judge import ClipJudge, open_image_embedder
from safelight.evaluation.digest import SHORT, digest_of
from safelight.evaluation.inception import SIDE
from safelight.evaluation.inception_file import load_inception
from safelight.images import scaled, to_tensor

AT_ONCE = 32  # pictures that pass through a network together


@dataclass(frozen=True)
class FeatureNetwork:
    """A network with the way that it wants its pictures. digest: SHA-256 of its weights and of that way."""

    kind: str
    digest: str
    network: Callable[[Tensor], Tensor]
    pixels: Callable[[Image.Image], Tensor]
    device: torch.device

    @property
    def name(self) -> str:
        """Its kind and the beginning of its hash: "inception 6726825d"."""
        return f"{self.kind} {self.digest[:SHORT]}"

    def features(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Pictures -> (n, d) float32, on the CPU; raises BadInput where there are none."""
        if not len(pictures):
            raise BadInput("There are no pictures to take features of.")
        return torch.cat(list(self.batches(pictures)))

    @torch.no_grad()
    def batches(self, pictures: Sequence[Image.Image]) -> Iterator[Tensor]:
        """The same a few pictures at a time; raises BadInput where a feature is no finite number."""
        for start in range(0, len(pictures), AT_ONCE):
            shown = [self.pixels(pictures[i]) for i in range(start, min(start + AT_ONCE, len(pictures)))]
            found = self.network(torch.stack(shown).to(self.device)).float().cpu()
            if not bool(found.isfinite().all()):
                raise BadInput(f"{self.name!r} gives features that are no finite numbers; its weights are damaged.")
            yield found


def open_features(path: Path | str, device: torch.device) -> FeatureNetwork:
    """The feature network of a file (Inception's weights) or of a folder (a CLIP: a run's, or as transformers has it).

    Raises BadInput for what is neither, BadCheckpoint for what is damaged.
    """
    path = Path(path)
    if path.is_dir():
        embedder, pixels, way = open_image_embedder(path)
        return FeatureNetwork("clip-image", digest_of(embedder, way), embedder.to(device), pixels, device)
    if not path.is_file():
        raise BadInput(
            f"The feature network {str(path)!r} is not there; give a file of Inception's weights or a folder of a CLIP."
        )
    inception = load_inception(path)
    return FeatureNetwork("inception", digest_of(inception, "bilinear"), inception.to(device), inception_pixels, device)


def features_of(judge: ClipJudge) -> FeatureNetwork:
    """The image half of a whole CLIP, under the name that it would have alone."""
    embedder = judge.image_embedder()
    return FeatureNetwork("clip-image", digest_of(embedder, judge.way), embedder, judge.pixels, judge.device)


def inception_pixels(picture: Image.Image) -> Tensor:
    """A picture -> (3, 299, 299) in [-1, 1], bilinear and without smoothing, as pytorch-fid shows them to Inception."""
    image = to_tensor(scaled(picture, *picture.size))[None]
    return functional.interpolate(image, size=(SIDE, SIDE), mode="bilinear", align_corners=False)[0]
