"""The settings of each way to fine-tune: what of a model learns."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Literal

from safelight.data.record import COMPANIONS
from safelight.errors import BadInput, unknown_name
from safelight.training.bounds import check_bounds

EDGES = "edges"
LONGEST_WORD = 200  # characters
Precision = Literal["fp32", "bf16"]
Layers = Literal["attention", "transformer", "convs", "text_encoder"]


@dataclass(frozen=True, kw_only=True)
class LoRAConfig:
    """The shape of a LoRA, and the layers that have one."""

    rank: int = 16  # of the updates: the width between down and up
    alpha: float = 16.0  # the update counts alpha / rank times
    layers: tuple[Layers, ...] = ("attention",)  # attention, transformer (with its perceptrons), convs, text_encoder
    form: Literal["diffusers", "kohya"] = "diffusers"  # whose names the saved file has
    frozen: Precision = "fp32"  # of the weights that do not learn; bf16 halves their memory

    def __post_init__(self) -> None:
        check_bounds("adapter", self, 1, float("inf"), "rank")
        check_bounds("adapter", self, 0, float("inf"), "alpha")
        if not self.layers:
            raise BadInput("adapter.layers is empty; give at least one of attention, transformer, convs, text_encoder.")


@dataclass(frozen=True, kw_only=True)
class WordConfig:
    """A word to be learnt (textual inversion, Gal et al. 2022)."""

    word: str = "<thing>"  # what prompts call it; no word that the model knows
    like: str = ""  # words that it starts as; without any, it starts as the mean of all
    vectors: int = 1  # that stand for it; more can say more, and are sooner learnt by heart
    templates: tuple[str, ...] = (
        "a photo of {word}",
        "a picture of {word}",
        "a close-up of {word}",
        "a drawing of {word}",
        "one {word}",
        "the {word}",
        "{word}",
    )  # captions that it is learnt in, {word} being the word
    frozen: Precision = "fp32"  # of the weights that do not learn; bf16 halves their memory

    def __post_init__(self) -> None:
        check_bounds("word", self, 1, float("inf"), "vectors")
        if not self.word.strip() or len(self.word) > LONGEST_WORD or not self.word.isprintable():
            raise BadInput(f"word.word is {self.word!r}; it must be 1 to {LONGEST_WORD} letters or signs.")
        if not self.templates:
            raise BadInput('word.templates is empty; give at least one caption, such as "a photo of {word}".')
        for template in self.templates:
            if _placeholders(template) != {"word"}:
                raise BadInput(f"word.templates has {template!r}; each must hold {{word}} and nothing else in braces.")


@dataclass(frozen=True, kw_only=True)
class SteeringConfig:
    """What a ControlNet is shown (Zhang et al. 2023)."""

    hint: str = EDGES  # made from the picture itself; or its companion's name: control for fox.control.png
    frozen: Precision = "fp32"  # of the weights that do not learn; bf16 halves their memory

    def __post_init__(self) -> None:
        if self.hint != EDGES and self.hint not in COMPANIONS:
            raise unknown_name("control.hint", self.hint, [EDGES, *COMPANIONS])


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """Prior preservation of DreamBooth (Ruiz et al. 2022, section 3.2): what the model must not forget."""

    prompt: str = ""  # of the pictures of the class that the model draws before it learns; empty means none
    count: int = 100  # such pictures
    weight: float = 1.0  # of their errors
    steps: int = 25  # of the sampler that draws them
    guidance: float = 7.5  # how closely they follow the prompt; 1 means no guidance
    seed: int = 0  # of the first of them

    def __post_init__(self) -> None:
        check_bounds("prior", self, 1, float("inf"), "count", "steps", "guidance")
        check_bounds("prior", self, 0, float("inf"), "weight", "seed")


def _placeholders(template: str) -> set[str | None]:
    """What stands in braces in a template; {None} where the braces cannot be told apart."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError:
        return {None}
