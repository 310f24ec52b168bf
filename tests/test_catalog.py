"""The published models: as many parameters as they were published with."""

import pytest
import torch
from torch import nn

from safelight.autoencoder import Autoencoder
from safelight.catalog import CATALOG, PublishedModel, published
from safelight.errors import BadInput
from safelight.text import TextEncoder
from safelight.unet import UNet


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("model", CATALOG, ids=lambda model: model.name)
def test_every_part_has_the_published_number_of_parameters(model: PublishedModel) -> None:
    with torch.device("meta"):
        assert parameters(UNet(model.unet)) == model.unet_parameters
        assert parameters(TextEncoder(model.text_encoder)) == model.text_encoder_parameters
        assert parameters(Autoencoder(model.autoencoder)) == model.autoencoder_parameters


def test_the_figures_are_the_published_ones() -> None:
    assert published("sd-1.5").unet_parameters == 859_520_964
    assert published("sd-1.5").text_encoder_parameters == 123_060_480
    assert published("sd-1.5").autoencoder_parameters == 83_653_863
    assert published("sd-2.1").unet_parameters == 865_910_724
    assert published("sd-2.1").text_encoder_parameters == 340_387_840
    assert published("sd-1.5-inpainting").unet_parameters == 859_535_364
    assert published("sd-1.5").parameters == 1_066_235_307


def test_what_sets_the_models_apart() -> None:
    channels = {model.name: model.unet.in_channels for model in CATALOG if model.unet.in_channels != 4}
    assert channels == {"sd-1.5-inpainting": 9, "instruct-pix2pix": 8, "sd-2.0-inpainting": 9, "sd-2.0-depth": 5}
    large = {model.name for model in CATALOG if model.schedule.prediction == "v"}
    assert large == {"sd-2.0", "sd-2.1"} == {model.name for model in CATALOG if model.size == 768}
    assert all(model.size == model.unet.sample_size * model.autoencoder.factor for model in CATALOG)


def test_names_are_unique_and_a_wrong_one_is_helped() -> None:
    assert len({model.name for model in CATALOG}) == len(CATALOG)
    with pytest.raises(BadInput, match=r"Did you mean 'sd-1\.5'"):
        published("sd-1-5")
