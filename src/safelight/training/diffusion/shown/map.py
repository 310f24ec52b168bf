"""A map of labels beside the noisy latent, with the rescaler that shrinks it (Rombach et al. 2022, 4.3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from safelight.data.record import BadSample
from safelight.diffusion.conditioning import Conditioning
from safelight.training.diffusion.learner import Learner
from safelight.training.diffusion.views import View


class ShownMap:
    """The companion picture `map`, each pixel of which is the number of a label, one of `labels`."""

    def __init__(self, labels: int) -> None:
        self.labels = labels

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """The numbers (H, W) int64."""
        return self.fixed_entries(view)

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """The same."""
        numbers = torch.from_numpy(numpy.asarray(view.numbers("map")).astype("int64"))
        if int(numbers.max()) >= self.labels:
            raise BadSample(
                f"The map of sample {view.record.key!r} holds the label {int(numbers.max())}; the model knows 0 to "
                f"{self.labels - 1}."
            )
        return {"map": numbers}

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """The rescaled map, joined to the latent."""
        rescaler = learner.parts.rescaler
        assert rescaler is not None
        numbers: Tensor = batch["map"].to(next(rescaler.parameters()).device)
        return Conditioning(beside=rescaler(functional.one_hot(numbers, self.labels).permute(0, 3, 1, 2).float()))

    def request(self, view: View) -> dict[str, Any]:
        """The map."""
        return {"semantic_map": view.numbers("map")}
