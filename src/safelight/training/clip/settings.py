"""The settings of stage two."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.training.bounds import check_bounds

SMALLEST_VOCABULARY = 600  # 256 bytes, each inside and at the end of a word, the two marks, and a few merges


@dataclass(frozen=True, kw_only=True)
class ClipDataConfig:
    """What CLIP is shown."""

    vocabulary: int = 4096  # the most tokens that the tokenizer learns
    white_share: float = 0.5  # of the cut-out pictures, laid over white; the others over a named colour
    flip_share: float = 0.5  # mirrored, where the caption names no side

    def __post_init__(self) -> None:
        check_bounds("data", self, SMALLEST_VOCABULARY, float("inf"), "vocabulary")
        check_bounds("data", self, 0, 1, "white_share", "flip_share")
