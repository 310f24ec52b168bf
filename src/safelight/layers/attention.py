"""Attention (Vaswani et al. 2017), over vectors and over the positions of a feature map."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from safelight.layers.normalisation import GroupNorm

LARGEST_PLAIN = 2**18  # products of queries and keys a head: 512 positions each


class Attention(nn.Module):
    """Multi-head attention from `x` to `context`; self-attention where both are the same.

    softmax(Q K^T / sqrt(d)) V of each head, equation 1 of Vaswani et al. 2017.
    """

    def __init__(self, width: int, *, context_width: int, heads: int, input_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=input_bias)
        self.key = nn.Linear(context_width, width, bias=input_bias)
        self.value = nn.Linear(context_width, width, bias=input_bias)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor, *, causal: bool = False) -> Tensor:
        """(b, n, width), (b, m, context_width) -> (b, n, width); `causal` hides later positions."""
        q, k, v = (
            rearrange(projected, "b n (h d) -> b h n d", h=self.heads)
            for projected in (self.query(x), self.key(context), self.value(context))
        )
        return self.out(rearrange(attend(q, k, v, causal=causal), "b h n d -> b n (h d)"))


def attend(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V: (b, h, n, d), (b, h, m, d), (b, h, m, d) -> (b, h, n, d).

    PyTorch's fused kernel is the fastest way forward. Its way back on the CPU is several times slower than that of the
    plain formula, which is used there while its n x m numbers a head are few (benchmarks/training_step.py).
    """
    trains_on_cpu = torch.is_grad_enabled() and q.device.type == "cpu" and q.requires_grad
    if trains_on_cpu and not causal and q.shape[2] * k.shape[2] <= LARGEST_PLAIN:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        return scores.softmax(dim=-1).to(v.dtype) @ v
    return functional.scaled_dot_product_attention(q, k, v, is_causal=causal)


class SpatialSelfAttention(nn.Module):
    """A residual self-attention layer over the positions of a feature map: the one in autoencoders and DDPM's UNet."""

    def __init__(self, channels: int, *, heads: int, groups: int, norm_epsilon: float) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels, eps=norm_epsilon)
        self.attention = Attention(channels, context_width=channels, heads=heads, input_bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        height = x.shape[2]
        positions = rearrange(self.norm(x), "b c h w -> b (h w) c")
        attended = self.attention(positions, positions)
        return x + rearrange(attended, "b (h w) c -> b c h w", h=height)
