"""Where a run writes its figures: TensorBoard, or nowhere where that is not installed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Protocol

notes = logging.getLogger(__name__)


class Log(Protocol):
    """The part of TensorBoard's writer that the loop uses."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """One figure."""
        ...

    def add_image(self, tag: str, img_tensor: Any, global_step: int, *, dataformats: str) -> None:
        """One picture."""
        ...

    def close(self) -> None:
        """Write what is still in memory."""
        ...


class NoLog:
    """A log that forgets."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Nothing."""

    def add_image(self, tag: str, img_tensor: Any, global_step: int, *, dataformats: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def open_log(folder: Path, step: int) -> Log:
    """The log of a run that has taken `step` steps; what an earlier, interrupted run wrote of later ones is hidden."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        notes.warning("TensorBoard is not installed, so nothing is logged; pip install 'safelight[train]' adds it.")
        return NoLog()
    writer: Log = SummaryWriter(str(folder), purge_step=step + 1)
    return writer
