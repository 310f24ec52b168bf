"""Where a run writes its figures: a line for each step in `log.jsonl`, and TensorBoard where that is installed.

The lines hold no times, so that they are the same, byte for byte, however often a run was interrupted.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy
from PIL import Image

from safelight.training.engine.disk import sync, writing

notes = logging.getLogger(__name__)


class Events(Protocol):
    """The part of TensorBoard's writer that is used."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """One figure."""
        ...

    def add_image(self, tag: str, img_tensor: Any, global_step: int, *, dataformats: str) -> None:
        """One picture."""
        ...

    def close(self) -> None:
        """Write what is still in memory."""
        ...


class NoEvents:
    """A writer that forgets."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Nothing."""

    def add_image(self, tag: str, img_tensor: Any, global_step: int, *, dataformats: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Log:
    """The log of a run that has taken `step` steps; what an interrupted run wrote of later ones is taken back.

    size: the bytes that the lines up to that step have. Every method raises BadInput where the disk refuses.
    """

    def __init__(self, run: Path, step: int, size: int) -> None:
        self.path = run / "log.jsonl"
        with writing(self.path):
            run.mkdir(parents=True, exist_ok=True)
            self.lines = self.path.open("ab", buffering=0)
            self.lines.truncate(min(size, self.path.stat().st_size))
        self.folder = run / "log"
        with writing(self.folder):
            self.events = open_events(self.folder, step)

    def figures(self, kind: str, step: int, figures: Mapping[str, float]) -> None:
        """One line, and one event for each figure; what is no finite number becomes null."""
        named = {f"{kind}/{name}": value for name, value in figures.items()}
        finite = {name: value if math.isfinite(value) else None for name, value in named.items()}
        line = json.dumps({"step": step, **finite}).encode() + b"\n"
        with writing(self.path):
            if self.lines.write(line) != len(line):
                raise OSError("the disk took only a part of the line")
        with writing(self.folder):
            for name, value in named.items():
                self.events.add_scalar(name, value, step)

    def sheet(self, step: int, sheet: Image.Image) -> None:
        """One picture."""
        with writing(self.folder):
            self.events.add_image("sheet", numpy.asarray(sheet), step, dataformats="HWC")

    def sync(self) -> int:
        """Wait until all lines are on the disk; returns how many bytes they are."""
        with writing(self.path):
            sync(self.path)
            return os.fstat(self.lines.fileno()).st_size

    def close(self) -> None:
        """Write what is still in memory."""
        self.lines.close()
        with writing(self.folder):
            self.events.close()


class NoLog:
    """The log of a process that writes none, beside the one that does."""

    def figures(self, kind: str, step: int, figures: Mapping[str, float]) -> None:
        """Nothing."""

    def sheet(self, step: int, sheet: Image.Image) -> None:
        """Nothing."""

    def sync(self) -> int:
        """Nothing; it has no bytes."""
        return 0

    def close(self) -> None:
        """Nothing."""


def open_events(folder: Path, step: int) -> Events:
    """TensorBoard's writer; what an earlier, interrupted run wrote of steps after `step` is hidden."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        notes.warning(
            "TensorBoard is not installed: figures go to log.jsonl alone; pip install 'safelight[train]' adds it."
        )
        return NoEvents()
    writer: Events = SummaryWriter(str(folder), purge_step=step + 1)
    return writer
