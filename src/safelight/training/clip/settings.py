"""The settings of stage two."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from safelight.errors import BadInput
from safelight.training.bounds import check_bounds

SMALLEST_VOCABULARY = 600  # 256 bytes, each inside and at the end of a word, the two marks, and a few merges
SAID: dict[str, tuple[str, ...]] = {  # the values of fields, in sentences like those of captions
    "concept": ("{}", "a {}", "a picture of a {}", "a drawing of a {}"),
    "style_phrase": ("{}", "a {}", "in the style of a {}"),
}


@dataclass(frozen=True, kw_only=True)
class ClipDataConfig:
    """What CLIP is shown, and what it is asked."""

    vocabulary: int = 4096  # the most tokens that the tokenizer learns
    white_share: float = 0.5  # of the cut-out pictures, laid over white; the others over a named colour
    flip_share: float = 0.5  # mirrored, where the caption names no side
    first_caption_share: float = 0.0  # of the samples, which get their first caption; the others get any
    shuffle_share: float = 0.0  # of the samples, whose captions are lists of tags and are shuffled at the commas
    keep_tags: int = 1  # tags at the beginning that stay where they are
    tag_dropout: float = 0.0  # share of the other tags that are left out
    least_crop: float = 1.0  # of a picture's area: the least that a random crop leaves; 1 shows it whole
    zero_shot: dict[str, tuple[str, ...]] = field(default_factory=SAID.copy)  # fields asked for, and the sentences

    def __post_init__(self) -> None:
        check_bounds("data", self, SMALLEST_VOCABULARY, float("inf"), "vocabulary")
        check_bounds("data", self, 0, 1, "white_share", "flip_share", "first_caption_share")
        check_bounds("data", self, 0, 1, "shuffle_share", "tag_dropout")
        check_bounds("data", self, 0, float("inf"), "keep_tags")
        check_bounds("data", self, 0.05, 1, "least_crop")
        for name, sentences in self.zero_shot.items():
            if not sentences or not all(sentence.count("{}") == 1 for sentence in sentences):
                raise BadInput(
                    f"data.zero_shot.{name} is {list(sentences)}; it must list sentences that have {{}} once each."
                )


@dataclass(frozen=True, kw_only=True)
class ClipLossConfig:
    """How pictures and captions of a batch are compared."""

    kind: Literal["softmax", "sigmoid"] = "softmax"  # each among all (CLIP), or each pair by itself (SigLIP)
    at_once: int = 0  # samples whose activations are in memory together, to afford large batches; 0 is all of the batch

    def __post_init__(self) -> None:
        check_bounds("loss", self, 0, float("inf"), "at_once")
