"""The settings of training, as frozen dataclasses: how long, on what, and with which weights of the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from safelight.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long and how to optimise."""

    steps: int = 1000
    batch_size: int = 16
    learning_rate: float = 1e-4
    warmup: int = 100  # steps over which the learning rate rises to its value
    decay: Literal["cosine", "constant"] = "cosine"  # what it does afterwards
    weight_decay: float = 0.01
    beta2: float = 0.99  # of AdamW
    gradient_clip: float = 1.0  # the largest norm of all gradients together
    average_decay: float = 0.999  # of the exponential moving average of the weights
    precision: Literal["bf16", "fp32"] = "bf16"
    device: str = "cpu"
    workers: int = 0  # processes that load data
    seed: int = 0
    save_every: int = 500
    evaluate_every: int = 500

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "save_every", "evaluate_every"):
            if getattr(self, name) < 1:
                raise BadInput(f"loop.{name} is {getattr(self, name)}; it must be at least 1.")


@dataclass(frozen=True, kw_only=True)
class AutoencoderLossConfig:
    """Weights of the loss and what the network is shown."""

    size: int = 256  # pixels of the whole square picture
    crop: int = 64  # pixels of the random part of it that a step sees
    square_weight: float = 1.0  # of the squared error; it is what finds the colours early
    edge_weight: float = 0.3
    kl_weight: float = 1e-6
    photo_share: float = 0.2  # of the samples, where there are photos; illustrations are the rest


@dataclass(frozen=True, kw_only=True)
class ClipDataConfig:
    """What CLIP is shown."""

    vocabulary: int = 4096  # the most tokens that the tokenizer learns
    white_share: float = 0.5  # of the cut-out pictures, laid over white; the others over a named colour
    flip_share: float = 0.5  # mirrored, where the caption names no side


@dataclass(frozen=True, kw_only=True)
class DiffusionDataConfig:
    """What the UNet is shown, and how its errors count."""

    colours: tuple[str, ...] = ("white",)  # backgrounds that cut-out pictures are laid over
    white_share: float = 0.4  # of the samples of a picture that has several backgrounds
    caption_dropout: float = 0.1  # share of samples without a caption: what guidance compares with
    snr_limit: float = 5.0  # min-SNR weighting (Hang et al. 2023); 0 means none
    prompts: tuple[str, ...] = ()  # of the sample sheet
