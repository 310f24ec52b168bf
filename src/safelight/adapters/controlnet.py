"""ControlNet: a copy of a UNet's way down that sees a picture, and says what to add to the UNet's skip connections.

Zhang et al. 2023, section 3. Its convolutions on the way out start at zero, so that training starts from the UNet as it
was.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from safelight.adapters.control_config import ControlConfig
from safelight.errors import BadInput
from safelight.layers.embeddings import EmbeddingPerceptron, sinusoidal_embedding
from safelight.unet.levels import DownLevel, Middle
from safelight.unet.unet import Residuals, context_pooling, pooled


class HintEncoder(nn.Module):
    """The picture that steers, brought to the size and the channels of the UNet's first feature map (section 3.2)."""

    def __init__(self, config: ControlConfig) -> None:
        super().__init__()
        widths = config.hint_widths
        self.conv_in = nn.Conv2d(config.hint_channels, widths[0], 3, padding=1)
        steps = [
            conv
            for width, wider in pairwise(widths)
            for conv in (nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, wider, 3, padding=1, stride=2))
        ]
        self.blocks = nn.ModuleList(steps)
        self.conv_out = zero(nn.Conv2d(widths[-1], config.unet.channels[0], 3, padding=1))

    def forward(self, hint: Tensor) -> Tensor:
        """(b, hint_channels, f h, f w) in [0, 1] -> (b, channels[0], h, w)."""
        x = functional.silu(self.conv_in(hint))
        for block in self.blocks:
            x = functional.silu(block(x))
        return self.conv_out(x)


class ControlNet(nn.Module):
    """Noisy latent, noise level, text and a picture in; what to add to the UNet's skip connections out."""

    def __init__(self, config: ControlConfig) -> None:
        super().__init__()
        self.config = config
        finest = config.unet.channels[0]
        self.level_embedding = EmbeddingPerceptron(finest, 4 * finest)
        self.context_pooling = context_pooling(config.unet)
        self.conv_in = nn.Conv2d(config.unet.in_channels, finest, 3, padding=1)
        self.hint = HintEncoder(config)
        self.down = nn.ModuleList(DownLevel(config.unet, level) for level in range(len(config.unet.channels)))
        self.middle = Middle(config.unet)
        self.zero_convs = nn.ModuleList(zero(nn.Conv2d(width, width, 1)) for width in config.skip_channels)
        self.zero_middle = zero(nn.Conv2d(config.unet.channels[-1], config.unet.channels[-1], 1))

    def forward(self, latent: Tensor, timestep: Tensor | float, context: Tensor | None, hint: Tensor) -> Residuals:
        """What a UNet with this latent, timestep and context should add.

        latent: (b, in_channels, h, w). timestep: scalar or (b,). context: (b, n, context_width).
        hint: (b or 1, hint_channels, f h, f w) in [0, 1], f being 8 in Stable Diffusion. Raises BadInput for a hint
        of another size.
        """
        self.check_hint(hint, latent)
        embedding = self.embed(latent, timestep, context)
        kept = [self.conv_in(latent) + self.hint(hint)]
        for down in self.down:
            kept.extend(down(kept[-1], embedding, context))
        middle = self.middle(kept[-1], embedding, context)
        return Residuals([conv(x) for conv, x in zip(self.zero_convs, kept, strict=True)], self.zero_middle(middle))

    def embed(self, latent: Tensor, timestep: Tensor | float, context: Tensor | None = None) -> Tensor:
        """The vector that tells the residual blocks the noise level, and the text, as in the UNet: (b, e)."""
        waves = sinusoidal_embedding(
            torch.as_tensor(timestep, device=latent.device).expand(len(latent)),
            self.config.unet.channels[0],
            sine_first=self.config.unet.sine_first,
            frequency_shift=self.config.unet.frequency_shift,
        )
        embedding = self.level_embedding(waves.to(self.conv_in.weight.dtype))
        return embedding + pooled(self.context_pooling, context)

    def check_hint(self, hint: Tensor, latent: Tensor) -> None:
        """Raise BadInput for a picture that does not lie over the latent."""
        factor = self.config.factor
        expected = (self.config.hint_channels, factor * latent.shape[2], factor * latent.shape[3])
        if hint.dim() != 4 or len(hint) not in (1, len(latent)) or tuple(hint.shape[1:]) != expected:
            raise BadInput(
                f"The ControlNet's picture is {tuple(hint.shape)}; with latents {tuple(latent.shape)} it must be "
                f"(1 or {len(latent)}, {', '.join(map(str, expected))})."
            )


def zero(conv: nn.Conv2d) -> nn.Conv2d:
    """The same convolution with nothing in it."""
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv
