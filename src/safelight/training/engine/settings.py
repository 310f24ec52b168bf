"""The settings of the loop: how long, and how to optimise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from safelight.errors import BadInput
from safelight.training.bounds import check_bounds


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
        check_bounds("loop", self, 1, float("inf"), "steps", "batch_size", "accumulate", "patience")
        check_bounds("loop", self, 1, float("inf"), "save_every", "evaluate_every")
        check_bounds("loop", self, 2, float("inf"), "keep")
        check_bounds("loop", self, 0, float("inf"), "learning_rate", "warmup", "weight_decay", "workers", "seed")
        check_bounds("loop", self, 0, 1, "beta2", "average_decay")
        if not self.gradient_clip > 0:
            raise BadInput(f"loop.gradient_clip is {self.gradient_clip}; it must be above 0.")
        if self.precision == "fp16" and not self.device.startswith("cuda"):
            raise BadInput(f'loop.precision is "fp16", which needs a GPU; on {self.device!r} take "bf16" or "fp32".')
