"""The transformer that both of CLIP's encoders are made of (Radford et al. 2021, section 2.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from safelight.configs import Activation
from safelight.layers.attention import Attention


class Perceptron(nn.Module):
    """Two linear layers with a GELU between them; OpenAI's weights use its sigmoid approximation."""

    def __init__(self, width: int, hidden_width: int, activation: Activation) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden_width)
        self.down = nn.Linear(hidden_width, width)
        self.activate = quick_gelu if activation == "quick_gelu" else functional.gelu

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, width) -> (b, n, width)."""
        return self.down(self.activate(self.up(x)))


def quick_gelu(x: Tensor) -> Tensor:
    """x sigmoid(1.702 x), the approximation of GELU in Hendrycks & Gimpel 2016, section 2."""
    return x * torch.sigmoid(1.702 * x)


class EncoderLayer(nn.Module):
    """Self-attention and perceptron, each normalised first and added."""

    def __init__(
        self, width: int, hidden_width: int, *, heads: int, activation: Activation, norm_epsilon: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=norm_epsilon)
        self.attention = Attention(width, context_width=width, heads=heads, input_bias=True)
        self.norm2 = nn.LayerNorm(width, eps=norm_epsilon)
        self.perceptron = Perceptron(width, hidden_width, activation)

    def forward(self, x: Tensor, *, causal: bool) -> Tensor:
        """(b, n, width) -> (b, n, width)."""
        normalised = self.norm1(x)
        x = x + self.attention(normalised, normalised, causal=causal)
        return x + self.perceptron(self.norm2(x))
