"""The UNets of the latent-diffusion paper against their published formulas, with the same random weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from weights.references import TOLERANCE, noise, relative_error

from safelight.unet import UNet
from unet import original, published
from unet.original import Settings, Tensors
from unet.published import Published

NETWORKS = {name: network for name, network in vars(published).items() if isinstance(network, Published)}
NARROW = 32  # model_channels of the small copies; groups of 32 allow no fewer


def narrowed(network: Published) -> Published:
    """The same architecture with its channels cut to a fraction; a number of heads stays, a width of heads shrinks."""
    settings, config = network.settings, network.config
    channels = tuple(NARROW * factor for factor in settings.channel_mult)
    head_width = -1 if settings.num_head_channels == -1 else NARROW // 4
    context = 24 if settings.context_dim else 0
    small = replace(settings, model_channels=NARROW, num_head_channels=head_width, context_dim=context)
    heads = tuple(original.heads(small, width) for width in channels)
    return Published(small, replace(config, channels=channels, heads=heads, context_width=context or 768), None)


def random_tensors(settings: Settings) -> Tensors:
    """Numbers for every tensor, of a size that keeps what runs through the network near 1."""
    return {
        name: noise(*shape, seed=seed) / math.sqrt(math.prod(shape[1:])) + (1.0 if _is_norm(name, shape) else 0.0)
        for seed, (name, shape) in enumerate(original.shapes(settings).items())
    }


def _is_norm(name: str, shape: tuple[int, ...]) -> bool:
    return name.endswith("weight") and len(shape) == 1


def loaded(network: Published, tensors: Tensors) -> UNet:
    """Our UNet with the original tensors: both list theirs in the order in which the layers run."""
    unet = UNet(network.config)
    for (name, own), theirs in zip(unet.state_dict().items(), split(network.settings, tensors), strict=True):
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


@pytest.mark.parametrize("name", NETWORKS)
def test_the_configuration_has_the_published_tensors(name: str) -> None:
    network = NETWORKS[name]
    with torch.device("meta"):
        ours = UNet(network.config).state_dict()
    theirs = original.shapes(network.settings)
    assert sum(map(math.prod, theirs.values())) == sum(tensor.numel() for tensor in ours.values())
    assert len(split_names(theirs)) == len(ours)
    if network.parameters is not None:
        found = sum(tensor.numel() for tensor in ours.values()) / 1e6
        tabulated = isinstance(
            network.parameters, int
        )  # the paper cuts or rounds to whole millions, the logs to two places
        assert found == pytest.approx(network.parameters, abs=1.0 if tabulated else 0.005)


def split_names(shapes: original.Shapes) -> list[str]:
    """One name for each of our tensors."""
    return [name for name in shapes for _ in range(3 if ".qkv." in name else 1)]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_prediction_as_the_published_formulas(name: str) -> None:
    network = narrowed(NETWORKS[name])
    tensors = random_tensors(network.settings)
    latent, timestep = noise(2, network.settings.in_channels, 16, 16), torch.tensor([3, 981])
    context = noise(2, 5, 24, seed=2) if network.settings.context_dim else None
    with torch.no_grad():
        expected = original.predict(tensors, network.settings, latent, timestep, context)
        found = loaded(network, tensors)(latent, timestep, context)
    assert relative_error(found, expected) <= TOLERANCE
