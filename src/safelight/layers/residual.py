"""The residual block of DDPM and latent diffusion: two normalised convolutions and a shortcut."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from safelight.configs import Modulation
from safelight.layers.normalisation import GroupNorm


class ResidualBlock(nn.Module):
    """norm, SiLU, conv, twice, added to the input (Ho et al. 2020, appendix B).

    Where `embedding_width` is not 0, the noise level's embedding comes in between the two convolutions: added before
    the second norm ("shift"), or scaling and shifting what comes out of it ("scale_and_shift", Dhariwal & Nichol 2021,
    section 3: adaptive group normalisation).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        embedding_width: int,
        groups: int,
        norm_epsilon: float,
        modulation: Modulation = "shift",
    ) -> None:
        super().__init__()
        self.scales = modulation == "scale_and_shift"
        self.norm1 = GroupNorm(groups, in_channels, eps=norm_epsilon)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.embedding = (
            nn.Linear(embedding_width, 2 * out_channels if self.scales else out_channels) if embedding_width else None
        )
        self.norm2 = GroupNorm(groups, out_channels, eps=norm_epsilon)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        """(b, in, h, w), optional (b, embedding_width) -> (b, out, h, w)."""
        return self.shortcut(x) + self.second_half(self.conv1(functional.silu(self.norm1(x))), embedding)

    def second_half(self, h: Tensor, embedding: Tensor | None) -> Tensor:
        """All that follows the first convolution, but for the shortcut: (b, out, h, w) -> (b, out, h, w)."""
        return self.conv2(functional.silu(self._modulated(h, embedding)))

    def _modulated(self, h: Tensor, embedding: Tensor | None) -> Tensor:
        if self.embedding is None or embedding is None:
            return self.norm2(h)
        change = self.embedding(functional.silu(embedding))[:, :, None, None]
        if not self.scales:
            return self.norm2(h + change)
        scale, shift = change.chunk(2, dim=1)
        return self.norm2(h) * (1 + scale) + shift


class ResidualDownsample(ResidualBlock):
    """A residual block that halves the size on its way: the mean of each 2 x 2, before the first convolution.

    Brock et al. 2019 (BigGAN), figure 15; in diffusion Dhariwal & Nichol 2021, section 3.
    """

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        """(b, in, h, w), optional (b, embedding_width) -> (b, out, floor(h / 2), floor(w / 2))."""
        h = functional.avg_pool2d(functional.silu(self.norm1(x)), 2)
        return self.shortcut(functional.avg_pool2d(x, 2)) + self.second_half(self.conv1(h), embedding)


class ResidualUpsample(ResidualBlock):
    """A residual block that doubles the size on its way: positions are repeated before the first convolution."""

    def forward(self, x: Tensor, embedding: Tensor | None = None, size: tuple[int, int] | None = None) -> Tensor:
        """(b, in, h, w), optional (b, embedding_width) -> (b, out, *size); without a size, twice h and w."""
        size = size or (2 * x.shape[-2], 2 * x.shape[-1])
        h = functional.interpolate(functional.silu(self.norm1(x)), size=size, mode="nearest")
        x = functional.interpolate(x, size=size, mode="nearest")
        return self.shortcut(x) + self.second_half(self.conv1(h), embedding)
