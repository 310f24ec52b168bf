"""An exponential moving average of a network's weights (EMA): smoother than the weights, and what is evaluated."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from safelight.training.engine.shards import own_part


class WeightAverage:
    """The average of every parameter, over a shorter time while training is young."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = dict(network.named_parameters())
        self.averages = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    def update(self, step: int) -> None:
        """Move a little towards the present weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages = [own_part(average) for average in self.averages.values()]
        present = [own_part(parameter) for parameter in self.parameters.values()]
        torch._foreach_lerp_(averages, present, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange weights and averages; a second call exchanges them back."""
        for name, parameter in self.parameters.items():
            present: Tensor = parameter.detach().clone()
            parameter.copy_(self.averages[name])
            self.averages[name].copy_(present)
