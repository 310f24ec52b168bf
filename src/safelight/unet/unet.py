"""The UNet noise predictor (Ho et al. 2020, appendix B; with text: Rombach et al. 2022, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from safelight.configs import UNetConfig
from safelight.errors import BadInput
from safelight.layers.embeddings import LevelEmbedding, sinusoidal_embedding
from safelight.layers.normalisation import GroupNorm
from safelight.unet.levels import DownLevel, Middle, UpLevel


class UNet(nn.Module):
    """Noisy latent, noise level and conditioning in; prediction out."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        finest = config.channels[0]
        self.level_embedding = LevelEmbedding(finest, 4 * finest)
        self.class_embedding = nn.Embedding(config.classes, 4 * finest) if config.classes else None
        self.conv_in = nn.Conv2d(config.in_channels, finest, 3, padding=1)
        levels = range(len(config.channels))
        self.down = nn.ModuleList(DownLevel(config, level) for level in levels)
        self.middle = Middle(config)
        self.up = nn.ModuleList(UpLevel(config, level) for level in reversed(levels))
        self.norm_out = GroupNorm(config.groups, finest, eps=config.norm_epsilon)
        self.conv_out = nn.Conv2d(finest, config.out_channels, 3, padding=1)

    def forward(
        self,
        latent: Tensor,
        timestep: Tensor | float,
        context: Tensor | None = None,
        class_label: Tensor | None = None,
    ) -> Tensor:
        """Predict from a noisy latent.

        latent: (b, in_channels, h, w), variance preserving. timestep: scalar or (b,), 0 to 999, may be fractional.
        context: (b, n, context_width), for a UNet with cross-attention. class_label: (b,) int64, for one with classes.
        Returns (b, out_channels, h, w). Raises BadInput where an input that the network needs is missing.
        """
        embedding = self.embed(latent, timestep, class_label)
        x = self.conv_in(latent)
        skips = [x]
        for down in self.down:
            skips.extend(down(skips[-1], embedding, context))
        x = self.middle(skips[-1], embedding, context)
        for up in self.up:
            x = up(x, skips, embedding, context)
        return self.conv_out(functional.silu(self.norm_out(x)))

    def embed(self, latent: Tensor, timestep: Tensor | float, class_label: Tensor | None) -> Tensor:
        """The vector that tells the residual blocks the noise level, and the class where there is one: (b, e)."""
        levels = torch.as_tensor(timestep, device=latent.device).expand(latent.shape[0])
        waves = sinusoidal_embedding(
            levels,
            self.config.channels[0],
            sine_first=self.config.sine_first,
            frequency_shift=self.config.frequency_shift,
        )
        embedding = self.level_embedding(waves.to(self.conv_in.weight.dtype))
        if self.class_embedding is None:
            return embedding
        if class_label is None:
            raise BadInput(f"This UNet knows {self.config.classes} classes: it needs `class_label` (b,), got None.")
        return embedding + self.class_embedding(class_label)
