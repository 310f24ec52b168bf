"""The published models: as many parameters as they were published with, and one row for each that is known."""

from dataclasses import replace

import pytest
from torch import nn
from weights.recognition.test_contents import meta_parts

from safelight.catalog import CATALOG, PublishedModel, published
from safelight.errors import BadInput


def parameters(network: nn.Module | None) -> int:
    return 0 if network is None else sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("model", CATALOG, ids=lambda model: model.name)
def test_every_part_has_the_published_number_of_parameters(model: PublishedModel) -> None:
    parts = meta_parts(model)
    assert parameters(parts.unet) == model.unet_parameters
    assert parameters(parts.autoencoder) == model.autoencoder_parameters
    assert parameters(parts.text_encoder) == model.text_encoder_parameters
    assert parameters(parts.image_encoder) == model.image_encoder_parameters


def test_the_figures_are_the_published_ones() -> None:
    assert published("sd-1.5").unet_parameters == 859_520_964
    assert published("sd-1.5").text_encoder_parameters == 123_060_480
    assert published("sd-1.5").autoencoder_parameters == 83_653_863
    assert published("sd-2.1").unet_parameters == 865_910_724
    assert published("sd-2.1").text_encoder_parameters == 340_387_840
    assert published("sd-1.5-inpainting").unet_parameters == 859_535_364
    assert published("sd-x4-upscaler").unet_parameters == 473_398_020
    assert published("sd-1.5").parameters == 1_066_235_307


# Millions, as the authors print them when a UNet is built, or tabulate (Rombach et al. 2022, tables 12 to 15).
PRINTED = {
    "ldm-celebahq": 274.06,
    "ldm-ffhq": 274.06,
    "ldm-lsun-bedrooms": 274.06,
    "ldm-lsun-churches": 294.97,
    "ldm-imagenet": 400.92,
    "ldm-inpainting": 387.25,
    "ldm-super-resolution": 113.62,
    "ldm-text2img-large": 872.30,
}


@pytest.mark.parametrize("name", PRINTED)
def test_the_paper_s_figures(name: str) -> None:
    assert published(name).unet_parameters / 1e6 == pytest.approx(PRINTED[name], abs=0.006)


def test_the_whole_family_is_there() -> None:
    tasks = {model.task for model in CATALOG}
    assert tasks == {
        "text", "inpainting", "filling", "depth", "instruction", "upscaling", "variation",
        "unconditional", "class", "layout", "semantic", "restoration",
    }  # fmt: skip
    assert len(CATALOG) == 26
    assert all(model.licence and model.where.startswith("https://") and model.source for model in CATALOG)


@pytest.mark.parametrize("model", CATALOG, ids=lambda model: model.name)
def test_the_task_is_the_one_that_the_parts_tell(model: PublishedModel) -> None:
    parts = replace(meta_parts(model))
    if model.vocabulary != "none":
        parts.tokenizer = object()  # any will do
    assert parts.task == model.task


def test_what_sets_the_models_apart() -> None:
    ours = [model for model in CATALOG if model.name.startswith(("sd-", "instruct"))]
    channels = {model.name: model.unet.in_channels for model in ours if model.unet.in_channels != 4}
    assert channels == {
        "sd-1.5-inpainting": 9,
        "instruct-pix2pix": 8,
        "sd-2.0-inpainting": 9,
        "sd-2.0-depth": 5,
        "sd-x4-upscaler": 7,
    }
    velocity = {model.name for model in CATALOG if model.schedule.prediction == "v"}
    assert velocity == {"sd-2.0", "sd-2.1", "sd-2.1-unclip", "sd-2.1-unclip-small", "sd-x4-upscaler"}
    assert all(model.size == model.unet.sample_size * model.autoencoder.factor for model in CATALOG)


def test_names_are_unique_and_a_wrong_one_is_helped() -> None:
    assert len({model.name for model in CATALOG}) == len(CATALOG)
    with pytest.raises(BadInput, match=r"Did you mean 'sd-1\.5'"):
        published("sd-1-5")
