"""The settings of the classifier: what it is shown, how that is varied, and how it is judged."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.errors import BadInput
from safelight.training.bounds import check_bounds


@dataclass(frozen=True, kw_only=True)
class ClassifierDataConfig:
    """What the classifier is shown."""

    labels: tuple[str, ...] = ("concept", "style")  # fields of the samples that it tells, where they differ
    by: str = "style"  # the field by whose values the figures are given apart as well; "" for none
    white_share: float = 0.5  # of the cut-out pictures, laid over white; the others over any colour
    flip_share: float = 0.5  # mirrored, where no caption names a side

    def __post_init__(self) -> None:
        check_bounds("data", self, 0, 1, "white_share", "flip_share")
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise BadInput(f"data.labels is {list(self.labels)}; it must name at least one field, and each only once.")


@dataclass(frozen=True, kw_only=True)
class VariationConfig:
    """How pictures are varied, so that the classifier also judges ones that are drawn small, soft or a little off."""

    shift: float = 0.08  # of the side: how far a picture moves at most, each way
    scale: float = 0.15  # how much larger or smaller it becomes at most
    turn: float = 8.0  # degrees that it turns at most, either way
    light: float = 0.15  # how much brightness, contrast and saturation change at most
    soft_share: float = 0.5  # scaled down and up again, so that detail is lost
    least_detail: float = 0.35  # of the side: the smallest size that they are scaled down to
    jpeg_share: float = 0.25  # stored as JPEG of any quality and read back

    def __post_init__(self) -> None:
        check_bounds("variation", self, 0, 0.5, "shift", "scale", "light")
        check_bounds("variation", self, 0, 180, "turn")
        check_bounds("variation", self, 0, 1, "soft_share", "jpeg_share")
        check_bounds("variation", self, 0.05, 1, "least_detail")


@dataclass(frozen=True, kw_only=True)
class ClassifierLossConfig:
    """Cross-entropy, softened."""

    smoothing: float = 0.1  # of the certainty, spread evenly over all names (Szegedy et al. 2016, section 7)
    dropout: float = 0.1  # of the features, left out at random before the heads

    def __post_init__(self) -> None:
        check_bounds("loss", self, 0, 0.9, "smoothing", "dropout")
