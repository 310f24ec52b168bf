"""The family once more, in shapes that tell all that must be known: files of these need no notes of ours."""

from __future__ import annotations

from dataclasses import replace

from tasks.family import FAMILY, built
from torch import nn

from safelight.autoencoder import Autoencoder
from safelight.text import BertEncoder, ImageEmbedder, TextEncoder
from safelight.text.vocabulary import clip_tokenizer
from safelight.unet import UNet
from safelight.weights import Parts

# Pixels are no latents, and the original layout has no place for a model without an autoencoder.
KINDS = [kind for kind in FAMILY if kind != "pixels"]
# What neither the shapes nor a published row tell of these small ones: they would be taken for epsilon.
PREDICTIONS = {"upscaling": "v", "variation": "v"}


def plain(kind: str) -> Parts:
    """A model of a kind as its publishers would make it: 32 groups, heads of their habit, CLIP's own vocabulary."""
    parts = FAMILY[kind]()
    for name, network in vars(parts).items():
        if isinstance(network, nn.Module):
            setattr(parts, name, _plain(network))
    if isinstance(parts.text_encoder, TextEncoder):
        parts.tokenizer = clip_tokenizer(pad="!")
    return parts


def _plain(network: nn.Module) -> nn.Module:
    """The same network with the settings that recognition gives it."""
    if isinstance(network, UNet):
        config = network.config
        heads = (8, 8) if config.reads_context else tuple(width // 32 for width in config.channels)
        return built(lambda: UNet(replace(config, groups=32, heads=heads, sample_size=64)))
    if isinstance(network, Autoencoder):
        return built(lambda: Autoencoder(replace(network.config, groups=32)))
    if isinstance(network, TextEncoder):
        shape = {"vocabulary": 49408, "heads": 1, "activation": "gelu"}
        return built(lambda: TextEncoder(replace(network.config, **shape)))
    if isinstance(network, BertEncoder):
        return built(lambda: BertEncoder(replace(network.config, heads=1, head_width=32)))
    if isinstance(network, ImageEmbedder):
        return built(lambda: ImageEmbedder(replace(network.config, heads=1, activation="gelu")))
    return network


def rounded(parts: Parts) -> Parts:
    """The same model with its weights rounded to half precision, and kept in float32."""
    for network in networks(parts).values():
        network.half().float()
    return parts


def networks(parts: Parts) -> dict[str, nn.Module]:
    """The parts that hold weights."""
    there = {name: part for name, part in vars(parts).items() if isinstance(part, nn.Module)}
    return {name: part for name, part in there.items() if any(True for _ in part.state_dict())}
