"""The settings of stage one: the weights of its loss, and what the network is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from safelight.errors import BadInput
from safelight.training.bounds import check_bounds

SMALLEST_STRUCTURE = 11  # pixels of the window of SSIM


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """A discriminator of patches that learns beside the autoencoder."""

    weight: float = 0.0  # of its pull, as a share of that of the other terms; 0 means none (Rombach et al.: 0.5)
    start: int = 0  # steps that the autoencoder learns alone
    width: int = 64  # channels of its first layer
    levels: int = 3  # halvings; a patch is 16, 34 or 70 pixels wide for 1, 2 or 3
    most: float = 1e4  # that the adaptive weight may be

    def __post_init__(self) -> None:
        check_bounds("loss.discriminator", self, 0, float("inf"), "weight", "start", "most")
        check_bounds("loss.discriminator", self, 1, float("inf"), "width")
        check_bounds("loss.discriminator", self, 1, 6, "levels")

    @property
    def smallest(self) -> int:
        """Pixels that it needs each way."""
        return 3 * int(2**self.levels)


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig:
    """What is compared of a painted picture and the given one, and how much each error counts."""

    crop: int = 64  # pixels of the random part of a picture that a step sees
    absolute_weight: float = 1.0  # of the absolute error (L1)
    square_weight: float = 1.0  # of the squared error (L2); it is what finds the colours early
    edge_weight: float = 0.3  # of the absolute error of the differences between neighbours
    perceptual: Literal["none", "ms_ssim", "features"] = "none"  # structure at several scales, or a network's features
    perceptual_weight: float = 0.5  # of that comparison
    features: str = ""  # the run of a classifier, whose features perceptual = "features" compares
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)

    def __post_init__(self) -> None:
        check_bounds("loss", self, 1, float("inf"), "crop")
        check_bounds("loss", self, 0, float("inf"), "absolute_weight", "square_weight", "edge_weight")
        check_bounds("loss", self, 0, float("inf"), "perceptual_weight")
        if not self.absolute_weight and not self.square_weight:
            raise BadInput("loss.absolute_weight and loss.square_weight are both 0; at least one must be above.")
        if self.perceptual == "ms_ssim" and self.crop < SMALLEST_STRUCTURE:
            raise BadInput(
                f'loss.crop is {self.crop}; loss.perceptual = "ms_ssim" needs at least {SMALLEST_STRUCTURE}.'
            )
        if self.perceptual == "features" and not self.features:
            raise BadInput('loss.features is empty; loss.perceptual = "features" needs the run of a classifier there.')
        if self.discriminator.weight and self.crop < self.discriminator.smallest:
            raise BadInput(
                f"loss.crop is {self.crop}; a discriminator of {self.discriminator.levels} levels needs at least "
                f"{self.discriminator.smallest}."
            )


@dataclass(frozen=True, kw_only=True)
class AutoencoderLossConfig(ComparisonConfig):
    """Weights of the loss and what the network is shown."""

    size: int = 256  # pixels of the whole square picture
    judge: str = ""  # the run of a CLIP, or a file of Inception's weights: the figure KID is told by its features
    kl_weight: float = 1e-6  # KL: of the divergence of the latents from the standard normal distribution
    codebook_weight: float = 1.0  # VQ: of the distance from the codebook's entries to the latents, which moves them
    commitment_weight: float = 0.25  # VQ: of the distance from the latents to the entries, which moves the latents
    photo_share: float = 0.2  # of the samples, where there are photos; illustrations are the rest

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds("loss", self, 1, float("inf"), "size")
        check_bounds("loss", self, 0, float("inf"), "kl_weight", "codebook_weight", "commitment_weight")
        check_bounds("loss", self, 0, 1, "photo_share")
        if self.crop > self.size:
            raise BadInput(f"loss.crop is {self.crop}; it must be at most loss.size, the whole picture's {self.size}.")
