"""A text encoder made deeper without a change of what it says: its new layers add nothing until they have learnt."""

from __future__ import annotations

from dataclasses import replace

import torch

from safelight.text import TextEncoder
from safelight.text.transformer import EncoderLayer


@torch.no_grad()
def deepen(encoder: TextEncoder, layers: int) -> None:
    """Put so many layers behind those that `encoder` has, in place.

    The last map of each new attention and perceptron is zero, so that both add nothing to what passes by (as the
    zero-initialised residuals of Goyal et al. 2017, section 5.1); the first step of training moves them.
    """
    config = encoder.config
    like = encoder.token_embedding.weight
    for _ in range(layers):
        layer = EncoderLayer(
            config.width,
            config.hidden_width,
            heads=config.heads,
            activation=config.activation,
            norm_epsilon=config.norm_epsilon,
        )
        for last in (layer.attention.out, layer.perceptron.down):
            for parameter in last.parameters():
                parameter.zero_()
        encoder.layers.append(layer.to(like.device, like.dtype))
    encoder.config = replace(config, layers=config.layers + layers)
