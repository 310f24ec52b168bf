"""The settings of each way to fine-tune: what of a model learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from safelight.training.bounds import check_bounds


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """What of a whole model learns."""

    text_encoder: bool = False  # beside the UNet

    def __post_init__(self) -> None:
        check_bounds("finetune", self, 0, 1, "text_encoder")


@dataclass(frozen=True, kw_only=True)
class LoRAConfig:
    """The shape of a LoRA, and the layers that have one."""

    rank: int = 16
    alpha: float = 16.0  # the update counts alpha / rank times
    convs: bool = False  # the UNet's convolutions too, beside the projections of its attention
    text_encoder: bool = False
    form: Literal["diffusers", "kohya"] = "diffusers"  # whose names the saved file has

    def __post_init__(self) -> None:
        check_bounds("lora", self, 1, float("inf"), "rank")
        check_bounds("lora", self, 0, float("inf"), "alpha")


@dataclass(frozen=True, kw_only=True)
class WordConfig:
    """A word to be learnt (textual inversion, Gal et al. 2022)."""

    word: str = "<thing>"
    like: str = ""  # a word that it starts as; without one, it starts as the mean of all
    vectors: int = 1

    def __post_init__(self) -> None:
        check_bounds("word", self, 1, float("inf"), "vectors")


@dataclass(frozen=True, kw_only=True)
class ControlConfig:
    """What a ControlNet is shown (Zhang et al. 2023)."""

    hint: str = "edges"  # made from the picture itself; or the name of its companion, as in fox.control.png


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """Prior preservation of DreamBooth (Ruiz et al. 2022, section 3.2): what the model must not forget."""

    prompt: str = ""  # of the pictures of the class that the model draws before it learns; empty means none
    count: int = 100  # such pictures
    weight: float = 1.0  # of their errors

    def __post_init__(self) -> None:
        check_bounds("prior", self, 1, float("inf"), "count")
        check_bounds("prior", self, 0, float("inf"), "weight")
