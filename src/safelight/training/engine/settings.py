"""The settings of the loop: how long, and how to optimise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from safelight.errors import BadInput
from safelight.training.bounds import check_bounds

Term = Literal["batch_size", "accumulate", "seed", "optimiser", "data"]  # what steps mean: see `terms.py`


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long and how to optimise."""

    steps: int = 1000  # of the optimiser, in the whole run
    batch_size: int = 16  # samples that pass through the network together, shared out among the processes of the run
    accumulate: int = 1  # batches that make one step: a larger batch where memory is short
    learning_rate: float = 1e-4  # the highest
    warmup: int = 100  # steps over which the learning rate rises to its value
    decay: Literal["cosine", "constant"] = "cosine"  # what it does afterwards
    weight_decay: float = 0.01  # of AdamW and of Muon
    optimiser: Literal["adamw", "adamw8bit", "muon"] = "adamw"  # adamw8bit: less memory; muon: fewer steps
    beta2: float = 0.99  # of AdamW
    gradient_clip: float = 1.0  # the largest norm of all gradients together
    average_decay: float = 0.999  # of the exponential moving average of the weights
    more_averages: tuple[float, ...] = ()  # decays of further averages, each evaluated and exported under its own name
    patience: int = 5  # steps in a row that may have gradients which are not finite, before the run stops
    bad_share: float = 0.05  # of the samples drawn, the share that may be unreadable before the run stops
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"  # in which the network computes; its weights are kept in fp32
    recompute: bool = False  # forget what blocks compute on the way forward and compute it again on the way back
    compile: bool = False  # let torch.compile translate the network's blocks before the first step
    strategy: Literal["ddp", "fsdp"] = "ddp"  # of several processes: the network whole in each, or a part of it in each
    silence: int = 50  # seconds without a word from another process, in the middle of a step, before the run ends
    device: str = "cpu"  # where the network learns; of several GPUs, each process takes the one with its number
    workers: int = 0  # threads that load batches ahead of their step
    seed: int = 0  # of the first weights, of the order of the samples and of all that is drawn for them
    save_every: int = 500  # steps between two checkpoints
    keep: int = 2  # checkpoints; the newest one can be damaged, so at least one more
    evaluate_every: int = 500  # steps between two evaluations
    allow: tuple[Term, ...] = ()  # what may change in a run that goes on; another optimiser begins with an empty memory

    def __post_init__(self) -> None:
        check_bounds("loop", self, 1, float("inf"), "steps", "batch_size", "accumulate", "patience")
        check_bounds("loop", self, 1, float("inf"), "save_every", "evaluate_every")
        check_bounds("loop", self, 2, float("inf"), "keep")
        check_bounds("loop", self, 0, float("inf"), "learning_rate", "warmup", "weight_decay", "workers", "seed")
        check_bounds("loop", self, 1, float("inf"), "silence")
        check_bounds("loop", self, 0, 1, "average_decay", "bad_share")
        check_bounds("loop", self, 0, 0.999999, "beta2")
        for number, decay in enumerate(self.more_averages):
            if not 0 <= decay <= 1 or decay in (self.average_decay, *self.more_averages[:number]):
                raise BadInput(
                    f"loop.more_averages[{number}] is {decay}; it must be from 0 to 1, and none of those before it nor "
                    f"loop.average_decay, which is {self.average_decay}."
                )
        if not self.gradient_clip > 0:
            raise BadInput(f"loop.gradient_clip is {self.gradient_clip}; it must be above 0.")
        if self.optimiser == "muon" and self.strategy == "fsdp":
            raise BadInput('loop.optimiser is "muon", which needs whole matrices: take loop.strategy "ddp" with it.')
        if self.precision == "fp16" and not self.device.startswith("cuda"):
            raise BadInput(f'loop.precision is "fp16", which needs a GPU; on {self.device!r} take "bf16" or "fp32".')
