"""A table of classes, each a vector for cross-attention (Rombach et al. 2022, section 4.1: ImageNet).

`ClassEmbedder` in ldm/modules/encoders/modules.py of CompVis/latent-diffusion.
"""

from __future__ import annotations

from torch import Tensor, nn

from safelight.configs import ClassEmbedderConfig


class ClassEmbedder(nn.Module):
    """Label -> the one vector that the UNet attends to."""

    def __init__(self, config: ClassEmbedderConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.classes, config.width)

    def forward(self, label: Tensor) -> Tensor:
        """(b,) int64 -> (b, 1, width). The last label of the paper's table means no class."""
        return self.embedding(label)[:, None]
