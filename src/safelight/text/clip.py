"""CLIP: a text encoder and an image encoder that meet in one space (Radford et al. 2021).

Stable Diffusion reads only the text encoder's hidden states. The image encoder is there to train the text encoder,
to measure how well a picture agrees with its prompt, and to tell an unCLIP model what a picture means.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from safelight.configs import ImageEncoderConfig, TextEncoderConfig
from safelight.errors import BadInput
from safelight.text.transformer import EncoderLayer


class TextEncoder(nn.Module):
    """Token ids -> one vector for each token."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.position_embedding = nn.Embedding(config.length, config.width)
        self.layers = nn.ModuleList(
            EncoderLayer(
                config.width,
                config.hidden_width,
                heads=config.heads,
                activation=config.activation,
                norm_epsilon=config.norm_epsilon,
            )
            for _ in range(config.layers)
        )
        self.final_norm = nn.LayerNorm(config.width, eps=config.norm_epsilon)

    def forward(self, token_ids: Tensor) -> Tensor:
        """(b, n) int64 -> (b, n, width) hidden states after the final norm: what the UNet reads.

        Each token sees those before it. Raises BadInput where n exceeds the number of positions.
        """
        length = token_ids.shape[1]
        if length > self.config.length:
            raise BadInput(f"The text encoder got {length} tokens; it has {self.config.length} positions.")
        x = self.token_embedding(token_ids) + self.position_embedding.weight[:length]
        for layer in self.layers:
            x = layer(x, causal=True)
        return self.final_norm(x)


class ImageEncoder(nn.Module):
    """A vision transformer (Dosovitskiy et al. 2021): image -> one vector."""

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        self.config = config
        positions = 1 + (config.size // config.patch) ** 2
        self.patch_embedding = nn.Conv2d(3, config.width, config.patch, stride=config.patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(config.width) * config.width**-0.5)
        self.position_embedding = nn.Embedding(positions, config.width)
        self.norm_in = nn.LayerNorm(config.width, eps=config.norm_epsilon)
        self.layers = nn.ModuleList(
            EncoderLayer(
                config.width,
                config.hidden_width,
                heads=config.heads,
                activation=config.activation,
                norm_epsilon=config.norm_epsilon,
            )
            for _ in range(config.layers)
        )
        self.norm_out = nn.LayerNorm(config.width, eps=config.norm_epsilon)

    def forward(self, image: Tensor) -> Tensor:
        """(b, 3, size, size), normalised -> (b, width): the class token after the last norm."""
        if image.shape[-2:] != (self.config.size, self.config.size):
            raise BadInput(
                f"The image encoder got {tuple(image.shape[-2:])} pixels; "
                f"it reads {self.config.size} x {self.config.size}."
            )
        patches = rearrange(self.patch_embedding(image), "b c h w -> b (h w) c")
        first = self.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        x = self.norm_in(torch.cat([first, patches], dim=1) + self.position_embedding.weight)
        for layer in self.layers:
            x = layer(x, causal=False)
        return self.norm_out(x[:, 0])


class ImageEmbedder(nn.Module):
    """The image encoder with its projection: image -> one vector of the joint space, which unCLIP models read."""

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.image = ImageEncoder(config)
        self.projection = nn.Linear(config.width, config.projection_width, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """(b, 3, size, size), normalised (`clip_pixels`) -> (b, projection_width), of any length."""
        return self.projection(self.image(image))


class TextEmbedder(nn.Module):
    """The text encoder with its projection: token ids -> one vector of the joint space."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.text = TextEncoder(config)
        self.projection = nn.Linear(config.width, config.projection_width, bias=False)

    def forward(self, token_ids: Tensor, end: Tensor) -> Tensor:
        """(b, n) int64 and the position (b,) of each text's end token -> (b, projection_width), of any length."""
        hidden = self.text(token_ids)
        return self.projection(hidden[torch.arange(len(end), device=end.device), end])


class CLIP(nn.Module):
    """Both encoders, their projections into the joint space, and the learnt temperature."""

    def __init__(self, text: TextEncoderConfig, image: ImageEncoderConfig) -> None:
        super().__init__()
        if text.projection_width != image.projection_width:
            raise BadInput(
                f"The text projection is {text.projection_width} wide, the image projection {image.projection_width}; "
                "they must be equal to be compared."
            )
        self.text = TextEncoder(text)
        self.image = ImageEncoder(image)
        self.text_projection = nn.Linear(text.width, text.projection_width, bias=False)
        self.image_projection = nn.Linear(image.width, image.projection_width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def embed_text(self, token_ids: Tensor, end: Tensor) -> Tensor:
        """(b, n) int64 and the position (b,) of each text's end token -> (b, projection_width) of length 1."""
        hidden = self.text(token_ids)
        pooled = hidden[torch.arange(len(end), device=end.device), end]
        return functional.normalize(self.text_projection(pooled), dim=-1)

    def embed_image(self, image: Tensor) -> Tensor:
        """(b, 3, size, size), normalised -> (b, projection_width) of length 1."""
        return functional.normalize(self.image_projection(self.image(image)), dim=-1)
