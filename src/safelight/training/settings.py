"""The settings of training, as frozen dataclasses: how long, on what, and with which weights of the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from safelight.errors import BadInput, unknown_name
from safelight.training.backdrop import COLOURS

SMALLEST_VOCABULARY = 600  # 256 bytes, each inside and at the end of a word, the two marks, and a few merges


def _within(where: str, settings: Any, lowest: float, highest: float, *names: str) -> None:
    """Raise BadInput unless the fields of those names lie in [lowest, highest]."""
    for name in names:
        value = getattr(settings, name)
        if not lowest <= value <= highest:
            limit = f"from {lowest:g} to {highest:g}" if highest != float("inf") else f"at least {lowest:g}"
            raise BadInput(f"{where}.{name} is {value}; it must be {limit}.")


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long and how to optimise."""

    steps: int = 1000
    batch_size: int = 16  # samples that pass through the network together
    accumulate: int = 1  # batches that make one step: a larger batch where memory is short
    learning_rate: float = 1e-4
    warmup: int = 100  # steps over which the learning rate rises to its value
    decay: Literal["cosine", "constant"] = "cosine"  # what it does afterwards
    weight_decay: float = 0.01
    beta2: float = 0.99  # of AdamW
    gradient_clip: float = 1.0  # the largest norm of all gradients together
    average_decay: float = 0.999  # of the exponential moving average of the weights
    patience: int = 5  # steps in a row that may have gradients which are not finite, before the run stops
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    device: str = "cpu"
    workers: int = 0  # threads that load batches ahead of their step
    seed: int = 0
    save_every: int = 500
    keep: int = 2  # checkpoints; the newest one can be damaged, so at least one more
    evaluate_every: int = 500
    allow: tuple[Literal["batch_size", "accumulate", "seed", "data"], ...] = ()  # what may change in a run that goes on

    def __post_init__(self) -> None:
        _within("loop", self, 1, float("inf"), "steps", "batch_size", "accumulate", "patience")
        _within("loop", self, 1, float("inf"), "save_every", "evaluate_every")
        _within("loop", self, 2, float("inf"), "keep")
        _within("loop", self, 0, float("inf"), "learning_rate", "warmup", "weight_decay", "workers", "seed")
        _within("loop", self, 0, 1, "beta2", "average_decay")
        if not self.gradient_clip > 0:
            raise BadInput(f"loop.gradient_clip is {self.gradient_clip}; it must be above 0.")
        if self.precision == "fp16" and not self.device.startswith("cuda"):
            raise BadInput(f'loop.precision is "fp16", which needs a GPU; on {self.device!r} take "bf16" or "fp32".')


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
        _within("loss", self, 1, float("inf"), "size", "crop")
        _within("loss", self, 0, float("inf"), "square_weight", "edge_weight", "kl_weight")
        _within("loss", self, 0, 1, "photo_share")
        if self.crop > self.size:
            raise BadInput(f"loss.crop is {self.crop}; it must be at most loss.size, the whole picture's {self.size}.")


@dataclass(frozen=True, kw_only=True)
class ClipDataConfig:
    """What CLIP is shown."""

    vocabulary: int = 4096  # the most tokens that the tokenizer learns
    white_share: float = 0.5  # of the cut-out pictures, laid over white; the others over a named colour
    flip_share: float = 0.5  # mirrored, where the caption names no side

    def __post_init__(self) -> None:
        _within("data", self, SMALLEST_VOCABULARY, float("inf"), "vocabulary")
        _within("data", self, 0, 1, "white_share", "flip_share")


@dataclass(frozen=True, kw_only=True)
class DiffusionDataConfig:
    """What the UNet is shown, and how its errors count."""

    colours: tuple[str, ...] = ("white",)  # backgrounds that cut-out pictures are laid over; the first is the usual one
    white_share: float = 0.4  # of the samples of a picture with several backgrounds that show the usual one
    first_caption_share: float = 0.0  # of the samples, which get their first caption; the others get any
    level_skew: float = 1.0  # levels are drawn with a density that rises as timestep ** (level_skew - 1)
    caption_dropout: float = 0.1  # share of samples without a caption: what guidance compares with
    snr_limit: float = 5.0  # min-SNR weighting (Hang et al. 2023); 0 means none
    prompts: tuple[str, ...] = ()  # of the sample sheet

    def __post_init__(self) -> None:
        _within("data", self, 0, 1, "white_share", "first_caption_share", "caption_dropout")
        _within("data", self, 0, float("inf"), "snr_limit")
        _within("data", self, 0.1, 10, "level_skew")
        if not self.colours:
            raise BadInput(f"data.colours is empty; give at least one of {', '.join(COLOURS)}.")
        for colour in self.colours:
            if colour not in COLOURS:
                raise unknown_name("data.colours", colour, COLOURS)
