"""The training sample at each position of the sequence; one that cannot be read is replaced, told, and counted."""

from __future__ import annotations

import logging
from random import Random
from threading import Lock
from typing import Any

from safelight.data.record import BadSample
from safelight.errors import BadInput
from safelight.training.engine.order import order_of
from safelight.training.engine.settings import LoopConfig
from safelight.training.engine.task import Task

FEWEST = 10  # bad ones that stop a run: chance alone gives a few
TRIES = 8  # that are bad one after the other, before others of the same shape are given up
TOLD = 3  # bad ones that the last sentence quotes
notes = logging.getLogger(__name__)


class Spent(Exception):
    """At a position there is no sample that can be read: the few of the shape that it must have are bad."""


class Samples:
    """The samples of a task in the order of a run. Several threads may ask at once."""

    def __init__(self, task: Task[Any], config: LoopConfig) -> None:
        self.task = task
        self.seed = config.seed
        self.bad_share = config.bad_share
        self.order = order_of(task, config)
        self.lock = Lock()
        self.tries = 0
        self.bad_tries = 0
        self.bad: dict[int, str] = {}

    def at(self, position: int) -> tuple[Any, int]:
        """The sample at a position, and how many bad ones it replaces; which one replaces them follows from the seed.

        Raises BadInput where too many positions' own samples are bad, and Spent where those that may replace one are.
        """
        index, random = self.order[position], Random(f"{self.seed}/{position}")
        for bad in range(TRIES):
            try:
                sample = self.task.sample(index, random)
            except BadSample as error:
                self._count(index, str(error), replacing=bad > 0)
            else:
                if not bad:
                    with self.lock:
                        self.tries += 1
                return sample, bad
            random = Random(f"{self.seed}/{position}/{bad + 1}")
            index = self.order.another(position, random)
        raise Spent(f"{TRIES} samples in a row for position {position} cannot be read.")

    def _count(self, index: int, fault: str, *, replacing: bool) -> None:
        with self.lock:
            self.tries += not replacing
            self.bad_tries += not replacing
            if index not in self.bad:
                self.bad[index] = fault
                notes.warning("%s Another sample takes its place.", fault)
            share = self.bad_tries / self.tries
            if self.bad_tries < FEWEST or share <= self.bad_share:
                return
            first = "; ".join(fault.removesuffix(".") for fault in list(self.bad.values())[:TOLD])
            raise BadInput(
                f"{self.bad_tries} of the {self.tries} samples drawn so far ({share:.0%}) are bad, and loop.bad_share "
                f"is {self.bad_share:g}: {len(self.bad)} different ones, the first of them: {first}. "
                "`safelight data check` lists all that are."
            )
