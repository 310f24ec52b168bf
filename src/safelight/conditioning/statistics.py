"""Mean and spread of CLIP's image vectors, by which unCLIP measures them before it adds noise (Ramesh et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class EmbeddingStatistics(nn.Module):
    """The mean and the standard deviation of each number of a vector of width d."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.mean = nn.Parameter(torch.zeros(1, width), requires_grad=False)
        self.deviation = nn.Parameter(torch.ones(1, width), requires_grad=False)

    def scaled(self, vector: Tensor) -> Tensor:
        """(b, d), as CLIP gives it -> (b, d) of mean 0 and variance 1."""
        return (vector - self.mean) / self.deviation

    def unscaled(self, vector: Tensor) -> Tensor:
        """The way back."""
        return vector * self.deviation + self.mean
