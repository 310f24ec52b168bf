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
    """One stage of training. The loop knows nothing else of it, but for two attributes that a task may have beside.

    buckets: a sequence with the bucket of each sample; every batch then has samples of one bucket alone, as pictures of
    several shapes need. frozen: a sequence of networks that the loss passes through and that do not learn, for
    `loop.recompute` and `loop.compile`, which `network` gets anyway.
    """

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

        Several threads may call it at once. Raises BadSample for one that cannot be read; another takes its place.
        """
        ...

    def loss(self, batch: Batch, noise: SampleNoise) -> dict[str, Tensor]:
        """Scalars by name, means over the samples; the one called `loss` is minimised.

        Of several processes each has a part of the batch; a loss that compares samples needs `gathering.gathered`.
        """
        ...

    def evaluate(self) -> dict[str, float]:
        """Figures of the network on held-out data, on fixed noise; none where nothing is held out.

        Of several processes each evaluates, so that none waits; the main one's figures count.
        """
        ...

    def sheet(self) -> Image.Image | None:
        """A picture that shows how far the network has come."""
        ...

    def export(self, folder: Path) -> None:
        """Write the network in the form that `safelight.load` opens."""
        ...
