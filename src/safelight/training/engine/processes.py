"""The processes of a run: one alone, or several that `torchrun` has started, on one machine or many.

`accelerate` joins several of them: it reads torchrun's environment, opens the group (nccl on GPUs, gloo on the CPU),
and gives each its device. The loop sees what stands in `Processes`, and nothing else of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import torch
from torch import distributed

from safelight.errors import BadInput
from safelight.training.engine.lock import Claim, FollowersClaim
from safelight.training.engine.settings import LoopConfig
from safelight.training.engine.spread import Lone, Replicated, Sharded, Spread

PATIENCE = timedelta(days=7)  # for what the main process does while the others wait
BACKENDS = ("gloo", "nccl", "connection closed", "connection reset")  # what says that a lost process is the cause


class Processes(Protocol):
    """What the loop asks of the processes. main: whether this is the one that writes."""

    main: bool
    count: int

    def placed(self, config: LoopConfig) -> LoopConfig:
        """The settings with this process's own device."""
        ...

    def claim(self, folder: Path) -> Claim:
        """The sole right to train in a folder, for all of them."""
        ...

    def share(self, positions: range) -> range:
        """This process's part of a batch."""
        ...

    def spread(self, config: LoopConfig) -> Spread:
        """How a network will lie over them."""
        ...

    def means(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The mean of each figure over them."""
        ...

    def any(self, flag: bool) -> bool:
        """Whether it is true in one of them."""
        ...

    def wait(self) -> None:
        """Until all have come here, however long that takes."""
        ...

    def main_first(self) -> AbstractContextManager[None]:
        """What stands inside is done by the main process, and then by the others, who find what it has left."""
        ...

    def heard(self) -> AbstractContextManager[None]:
        """Turn the loss of another process into BadInput that says so."""
        ...

    def end(self) -> None:
        """Part, once all work is done."""
        ...


class Alone:
    """One process, which needs no other."""

    main = True
    count = 1

    def placed(self, config: LoopConfig) -> LoopConfig:
        """As they are."""
        return config

    def claim(self, folder: Path) -> Claim:
        """A claim of its own."""
        return Claim(folder)

    def share(self, positions: range) -> range:
        """All of it."""
        return positions

    def spread(self, config: LoopConfig) -> Spread:
        """It lies in one piece."""
        return Lone()

    def means(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The figures."""
        return dict(figures)

    def any(self, flag: bool) -> bool:
        """Here."""
        return flag

    def wait(self) -> None:
        """For nobody."""

    def main_first(self) -> AbstractContextManager[None]:
        """There are no others."""
        return nullcontext()

    def heard(self) -> AbstractContextManager[None]:
        """There are no others."""
        return nullcontext()

    def end(self) -> None:
        """There are no others."""


ALONE = Alone()


class Together:
    """Several processes; each opens this once."""

    def __init__(self, config: LoopConfig) -> None:
        try:
            from accelerate import Accelerator
            from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
        except ImportError as error:
            raise BadInput("Training in several processes needs accelerate: pip install 'safelight[train]'.") from error
        how = [
            InitProcessGroupKwargs(timeout=timedelta(seconds=config.silence)),
            # A loss need not reach every weight in every step: a discriminator waits for its first one.
            DistributedDataParallelKwargs(find_unused_parameters=True),
        ]
        with self.heard():
            self.accelerator = Accelerator(cpu=config.device == "cpu", kwargs_handlers=how)
            self.patient = distributed.new_group(backend="gloo", timeout=PATIENCE)
        self.main = self.accelerator.is_main_process
        self.count = self.accelerator.num_processes
        self.rank = self.accelerator.process_index

    def placed(self, config: LoopConfig) -> LoopConfig:
        """On the GPU of this process's number; raises BadInput for a batch that cannot be shared out evenly."""
        if config.batch_size % self.count:
            raise BadInput(
                f"loop.batch_size is {config.batch_size}; it must be a multiple of {self.count}, the processes that "
                "share it out."
            )
        return replace(config, device=str(self.accelerator.device))

    def claim(self, folder: Path) -> Claim:
        """The main process takes it, for the others."""
        return Claim(folder) if self.main else FollowersClaim(folder)

    def share(self, positions: range) -> range:
        """The part of this process's number."""
        size = len(positions) // self.count
        return positions[self.rank * size : (self.rank + 1) * size]

    def spread(self, config: LoopConfig) -> Spread:
        """As `loop.strategy` says."""
        self.accelerator.free_memory()  # of an earlier stage
        return Replicated(self.accelerator) if config.strategy == "ddp" else Sharded(self.accelerator)

    def means(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The mean of each over all processes, added up in float64."""
        values = torch.tensor(list(figures.values()), dtype=torch.float64, device=self.accelerator.device)
        with self.heard():
            distributed.all_reduce(values)
        return dict(zip(figures, (values / self.count).tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """In one of them."""
        return self.means({"flag": float(flag)})["flag"] > 0

    def wait(self) -> None:
        """Without the limit that holds in the middle of a step."""
        with self.heard():
            distributed.barrier(self.patient)

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Two waits on either side of the others' turn."""
        if not self.main:
            self.wait()
        yield
        if self.main:
            self.wait()
        self.wait()

    @contextmanager
    def heard(self) -> Iterator[None]:
        """PyTorch's errors of a group that has lost a member."""
        try:
            yield
        except RuntimeError as error:
            said = str(error).lower()
            if not isinstance(error, distributed.DistError) and not any(name in said for name in BACKENDS):
                raise
            raise BadInput(
                "Another process of this run has ended or fallen silent, so this one ends too; the same command goes "
                f"on from the last checkpoint ({str(error).splitlines()[0]})."
            ) from error

    def end(self) -> None:
        """Close the group."""
        self.wait()
        self.accelerator.end_training()


def is_main() -> bool:
    """Whether this process writes what all will read; those that `main_first` lets in later then find it."""
    return not distributed.is_available() or not distributed.is_initialized() or distributed.get_rank() == 0


def processes_for(config: LoopConfig) -> Processes:
    """Those that torchrun has started, as its environment tells; without it, this one alone."""
    return Together(config) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else ALONE
