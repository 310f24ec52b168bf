"""The settings of the classifier: its shape, and what it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.training.bounds import check_bounds


@dataclass(frozen=True, kw_only=True)
class ClassifierDataConfig:
    """What the classifier is shown."""

    labels: tuple[str, ...] = ("concept", "style")  # fields of the samples that it learns to tell
    white_share: float = 0.5  # of the cut-out pictures, laid over white; the others over any colour

    def __post_init__(self) -> None:
        check_bounds("data", self, 0, 1, "white_share")
