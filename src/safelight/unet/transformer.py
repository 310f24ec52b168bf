"""The transformer that stands between residual blocks and lets text in (Rombach et al. 2022, section 3.3)."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from safelight.configs import Attention as Kind
from safelight.configs import Projection
from safelight.layers.attention import Attention
from safelight.layers.normalisation import GroupNorm

NORM_EPSILON = 1e-6


class GatedPerceptron(nn.Module):
    """Two linear layers with a gated GELU between them (GEGLU, Shazeer 2020)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 8 * width)  # values and gates, 4 * width each
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, width) -> (b, n, width)."""
        values, gates = self.up(x).chunk(2, dim=-1)
        return self.down(values * functional.gelu(gates))


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention to the conditioning, perceptron; each normalised first and added.

    Where `attention` is "only_cross", what stands for self-attention reads the conditioning too (the x4 upscaler).
    """

    def __init__(self, width: int, *, context_width: int, heads: int, attention: Kind) -> None:
        super().__init__()
        self.only_cross = attention == "only_cross"
        own_width = context_width if self.only_cross else width
        self.norm1 = nn.LayerNorm(width)
        self.self_attention = Attention(width, context_width=own_width, heads=heads, input_bias=False)
        self.norm2 = nn.LayerNorm(width)
        self.cross_attention = Attention(width, context_width=context_width, heads=heads, input_bias=False)
        self.norm3 = nn.LayerNorm(width)
        self.perceptron = GatedPerceptron(width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(b, n, width), (b, m, context_width) -> (b, n, width)."""
        normalised = self.norm1(x)
        x = x + self.self_attention(normalised, context if self.only_cross else normalised)
        x = x + self.cross_attention(self.norm2(x), context)
        return x + self.perceptron(self.norm3(x))


class SpatialTransformer(nn.Module):
    """Transformer blocks over the positions of a feature map, with a projection on either side."""

    def __init__(
        self,
        channels: int,
        *,
        context_width: int,
        heads: int,
        depth: int,
        groups: int,
        projection: Projection,
        attention: Kind,
    ) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels, eps=NORM_EPSILON)
        # A 1x1 convolution and a linear layer do the same; published weights differ in shape.
        self.linear = projection == "linear"
        self.project_in = nn.Linear(channels, channels) if self.linear else nn.Conv2d(channels, channels, 1)
        self.blocks = nn.ModuleList(
            TransformerBlock(channels, context_width=context_width, heads=heads, attention=attention)
            for _ in range(depth)
        )
        self.project_out = nn.Linear(channels, channels) if self.linear else nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(b, c, h, w), (b, m, context_width) -> (b, c, h, w)."""
        height = x.shape[2]
        h = self.norm(x)
        if not self.linear:
            h = self.project_in(h)
        h = rearrange(h, "b c h w -> b (h w) c")
        if self.linear:
            h = self.project_in(h)
        for block in self.blocks:
            h = block(h, context)
        if self.linear:
            h = self.project_out(h)
        h = rearrange(h, "b (h w) c -> b c h w", h=height)
        return x + (h if self.linear else self.project_out(h))
