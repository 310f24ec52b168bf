"""The settings of stage one: the weights of its loss, and what the network is shown."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.errors import BadInput
from safelight.training.bounds import check_bounds


@dataclass(frozen=True, kw_only=True)
class AutoencoderLossConfig:
    """Weights of the loss and what the network is shown."""

    size: int = 256  # pixels of the whole square picture
    crop: int = 64  # pixels of the random part of it that a step sees
    square_weight: float = 1.0  # of the squared error; it is what finds the colours early
    edge_weight: float = 0.3
    kl_weight: float = 1e-6
    photo_share: float = 0.2  # of the samples, where there are photos; illustrations are the rest

    def __post_init__(self) -> None:
        check_bounds("loss", self, 1, float("inf"), "size", "crop")
        check_bounds("loss", self, 0, float("inf"), "square_weight", "edge_weight", "kl_weight")
        check_bounds("loss", self, 0, 1, "photo_share")
        if self.crop > self.size:
            raise BadInput(f"loss.crop is {self.crop}; it must be at most loss.size, the whole picture's {self.size}.")
