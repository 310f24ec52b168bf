"""The UNets of the latent-diffusion paper against their published formulas, with the same random weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from weights.references import TOLERANCE, noise, relative_error

from safelight.catalog import CATALOG, published
from safelight.configs import UNetConfig
from safelight.unet import UNet
from unet import original
from unet.original import Settings, Tensors
from unet.published import SETTINGS

NARROW = 32  # model_channels of the small copies; groups of 32 allow no fewer


def test_every_network_of_the_paper_is_here() -> None:
    assert SETTINGS.keys() == {model.name for model in CATALOG if model.name.startswith("ldm-")}


def narrowed(settings: Settings, config: UNetConfig) -> tuple[Settings, UNetConfig]:
    """The same architecture with fewer channels; a number of heads stays, a width of heads shrinks."""
    context = 24 if settings.context_dim else 0
    head_width = -1 if settings.num_head_channels == -1 else NARROW // 4
    small = replace(settings, model_channels=NARROW, num_head_channels=head_width, context_dim=context)
    channels = tuple(NARROW * factor for factor in settings.channel_mult)
    heads = tuple(original.heads(small, width) for width in channels)
    return small, replace(config, channels=channels, heads=heads, context_width=context or config.context_width)


def random_tensors(settings: Settings) -> Tensors:
    """Numbers for every tensor, of a size that keeps what runs through the network near 1."""
    return {
        name: noise(*shape, seed=seed) / math.sqrt(math.prod(shape[1:]))
        for seed, (name, shape) in enumerate(original.shapes(settings).items())
    }


def loaded(config: UNetConfig, settings: Settings, tensors: Tensors) -> UNet:
    """Our UNet with the original tensors: both list theirs in the order in which the layers run."""
    unet = UNet(config)
    for (name, own), theirs in zip(unet.state_dict().items(), split(settings, tensors), strict=True):
        assert own.numel() == theirs.numel(), name
        own.copy_(theirs.reshape(own.shape))
    return unet.eval()


def split(settings: Settings, tensors: Tensors) -> Iterator[Tensor]:
    """The tensors one by one; queries, keys and values apart, which the original keeps in one, head after head."""
    for name, tensor in tensors.items():
        if name.endswith("qkv.weight"):
            heads = original.heads(settings, len(tensor) // 3)
            both = [t.unflatten(0, (heads, 3, -1)).unbind(1) for t in (tensor, tensors[name[:-6] + "bias"])]
            for weight, bias in zip(*both, strict=True):
                yield from (weight, bias)
        elif not name.endswith("qkv.bias"):
            yield tensor


@pytest.mark.parametrize("name", SETTINGS)
def test_the_catalogue_has_the_published_tensors(name: str) -> None:
    settings, config = SETTINGS[name], published(name).unet
    with torch.device("meta"):
        tensors = {name: torch.empty(shape) for name, shape in original.shapes(settings).items()}
        loaded(config, settings, tensors)
    attending = (*config.attention[:-1], config.middle_attention)
    for width, heads, attention in zip(config.channels, config.heads, attending, strict=True):
        assert attention == "none" or heads == original.heads(settings, width)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_prediction_as_the_published_formulas(name: str) -> None:
    settings, config = narrowed(SETTINGS[name], published(name).unet)
    tensors = random_tensors(settings)
    latent, timestep = noise(2, settings.in_channels, 16, 16), torch.tensor([3, 981])
    context = noise(2, 5, 24, seed=2) if settings.context_dim else None
    with torch.no_grad():
        expected = original.predict(tensors, settings, latent, timestep, context)
        found = loaded(config, settings, tensors)(latent, timestep, context)
    assert relative_error(found, expected) <= TOLERANCE
