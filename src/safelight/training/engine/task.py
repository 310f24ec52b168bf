"""What the loop turns: a network with its data, its loss and its figures."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeVar

from PIL import Image
from torch import Tensor, nn

from safelight.training.engine.noise import SampleNoise

Batch = TypeVar("Batch", contravariant=True)


class Task(Protocol[Batch]):
    """One stage of training. The loop knows nothing else of it."""

    @property
    def network(self) -> nn.Module:
        """What learns; all its parameters do."""
        ...

    @property
    def size(self) -> int:
        """The number of training samples."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash that tells these training samples from others."""
        ...

    def sample(self, index: int, random: Random) -> Any:
        """One training sample, with its random choices (crop, caption, background) drawn from `random`.

        Several threads may call it at once.
        """
        ...

    def loss(self, batch: Batch, noise: SampleNoise) -> dict[str, Tensor]:
        """Scalars by name, means over the samples; the one called `loss` is minimised."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Figures of the network on held-out data, on fixed noise; none where nothing is held out."""
        ...

    def sheet(self) -> Image.Image | None:
        """A picture that shows how far the network has come."""
        ...

    def export(self, folder: Path) -> None:
        """Write the network in the form that `safelight.load` opens."""
        ...
