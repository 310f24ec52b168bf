"""The settings of stage three: what the UNet is shown, at which levels of noise, and how its errors count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from safelight.data.backdrop import COLOURS
from safelight.data.captions import check_wordings
from safelight.errors import BadInput, unknown_name
from safelight.training.bounds import check_bounds

# What a new model draws from: all of configs.TaskName but variation, which needs the statistics of an image encoder.
Kind = Literal[
    "text",
    "unconditional",
    "class",
    "layout",
    "semantic",
    "inpainting",
    "filling",
    "instruction",
    "depth",
    "upscaling",
    "restoration",
]
READING: tuple[Kind, ...] = ("text", "inpainting", "instruction", "depth", "upscaling")  # those that read text
ON_PIXELS: tuple[Kind, ...] = ("text", "unconditional", "class", "layout")  # those that do without an autoencoder


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """How the pictures are seen, and what they are called."""

    colours: tuple[str, ...] = ("white",)  # backgrounds that cut-out pictures are laid over; the first is the usual one
    colours_each: int = 0  # of the colours, that each picture is laid over: the first, others by lot; 0 is all of them
    white_share: float = 0.4  # of the samples of a picture with several backgrounds that show the usual one
    flip: bool = False  # see each picture in a mirror too, unless a caption names a side
    cuts: int = 1  # places, from end to end, at which a picture of another shape is cut; 1 is its middle
    shapes: Literal["square", "buckets"] = "square"  # of the pictures: all alike, or each the nearest of several
    bucket_step: int = 64  # sides of the buckets are multiples of so many pixels
    longest: int = 0  # side of a bucket, in pixels; 0 is twice the square's
    styles: dict[str, tuple[str, ...]] = field(default_factory=dict)  # wordings of each; the first a thing has is usual
    caption: str = ""  # of pictures that have none, such as "a sks dog"; empty means that each must have its own

    def __post_init__(self) -> None:
        check_bounds("data", self, 0, 1, "white_share")
        check_bounds("data", self, 0, len(COLOURS), "colours_each")
        check_bounds("data", self, 1, 16, "cuts")
        check_bounds("data", self, 8, 1024, "bucket_step")
        check_bounds("data", self, 0, float("inf"), "longest")
        for style, wordings in self.styles.items():
            check_wordings(wordings, f"data.styles.{style}")
        if not self.colours:
            raise BadInput(f"data.colours is empty; give at least one of {', '.join(COLOURS)}.")
        for colour in self.colours:
            if colour not in COLOURS:
                raise unknown_name("data.colours", colour, COLOURS)


@dataclass(frozen=True, kw_only=True)
class DiffusionDataConfig(ViewsConfig):
    """What the UNet is shown."""

    kind: Kind = "text"  # what a new model draws from; one that learns on has its own
    space: Literal["latents", "pixels"] = "latents"  # where diffusion works; on pixels there is no autoencoder
    label_field: str = "class"  # of the samples: it holds the class, a number or a word
    first_caption_share: float = 0.0  # of the samples, which get their first caption; the others get any
    wordings: tuple[str, ...] = ()  # sentences for {caption}, the first one, or {name}, the same without its article
    wording_share: float = 0.3  # of the samples, whose caption is one of the wordings, if there are any
    usual_times: int = 1  # that a picture in its thing's usual style is shown while the others are shown once
    scene_share: float = 0.0  # of the samples, that show two or three of the things, and say where each is
    caption_dropout: float = 0.1  # share of samples without a caption: what guidance compares with
    shuffle_share: float = 0.0  # of the samples, whose captions are lists of tags and are shuffled at the commas
    keep_tags: int = 1  # tags at the beginning that stay where they are
    tag_dropout: float = 0.0  # share of the other tags that are left out
    prompts: tuple[str, ...] = ()  # of the sample sheet
    drawn: int = 4  # held-out samples on the sheet of a model that draws from more than a prompt
    keep_texts: bool = False  # keep what the text encoder makes of the captions in a file, and not only in memory

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds("data", self, 0, 1, "first_caption_share", "caption_dropout")
        check_bounds("data", self, 0, 1, "shuffle_share", "tag_dropout", "wording_share", "scene_share")
        check_wordings(self.wordings)
        check_bounds("data", self, 1, 100, "usual_times")
        check_bounds("data", self, 0, float("inf"), "keep_tags")
        check_bounds("data", self, 0, 64, "drawn")
        if self.space == "pixels" and self.kind not in ON_PIXELS:
            raise BadInput(
                f'data.space is "pixels" and data.kind {self.kind!r}; allowed on pixels: {", ".join(ON_PIXELS)}.'
            )
        if self.scene_share and (self.kind != "text" or self.shapes != "square"):
            raise BadInput(
                f'data.scene_share is {self.scene_share}; scenes are for data.kind "text" (here {self.kind!r}) and '
                f'data.shapes "square" (here {self.shapes!r}).'
            )


@dataclass(frozen=True, kw_only=True)
class LearningConfig:
    """What of a whole model learns."""

    text_encoder: bool = False  # learns beside the UNet


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """At which levels of noise the UNet is asked, and how its errors count."""

    levels: Literal["skewed", "lognormal"] = "skewed"  # how levels are drawn; skewed by 1 is uniformly
    level_skew: float = 1.0  # of "skewed": a density that rises as timestep ** (level_skew - 1)
    sigma_mean: float = -1.2  # of "lognormal": the mean of ln(sigma) (Karras et al. 2022, P_mean)
    sigma_spread: float = 1.2  # of "lognormal": its standard deviation (P_std)
    weighting: Literal["plain", "min_snr", "soft_min_snr", "truncated_snr", "edm"] = "min_snr"  # of the levels' errors
    snr_limit: float = 5.0  # of "min_snr" and "soft_min_snr" (Hang et al. 2023); 0 means none: plain
    data_spread: float = 1.0  # of "edm": the standard deviation of latents (sigma_data); of pixels about 0.5
    noise_offset: float = 0.0  # noise that is the same all over a channel, beside the rest; 0.1 helps dark pictures

    def __post_init__(self) -> None:
        check_bounds("objective", self, 0, float("inf"), "snr_limit")
        check_bounds("objective", self, 0.1, 10, "level_skew")
        check_bounds("objective", self, -20, 20, "sigma_mean")
        check_bounds("objective", self, 0.01, 10, "sigma_spread", "data_spread")
        check_bounds("objective", self, 0, 1, "noise_offset")
