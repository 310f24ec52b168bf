"""The residual block of DDPM and latent diffusion: two normalised convolutions and a shortcut."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from safelight.layers.normalisation import GroupNorm


class ResidualBlock(nn.Module):
    """norm, SiLU, conv, twice, added to the input (Ho et al. 2020, appendix B).

    Where `embedding_width` is not 0, the noise level's embedding is added between the two convolutions.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, embedding_width: int, groups: int, norm_epsilon: float
    ) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups, in_channels, eps=norm_epsilon)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.embedding = nn.Linear(embedding_width, out_channels) if embedding_width else None
        self.norm2 = GroupNorm(groups, out_channels, eps=norm_epsilon)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        """(b, in, h, w), optional (b, embedding_width) -> (b, out, h, w)."""
        h = self.conv1(functional.silu(self.norm1(x)))
        if self.embedding is not None and embedding is not None:
            h = h + self.embedding(functional.silu(embedding))[:, :, None, None]
        h = self.conv2(functional.silu(self.norm2(h)))
        return self.shortcut(x) + h
