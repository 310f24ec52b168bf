"""The UNet against diffusers', with the same random weights, through the files that both read."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from weights.references import TOLERANCE, noise, relative_error, scrambled

from safelight.errors import BadInput
from safelight.weights import load_unet, save_unet

SMALL: dict[str, Any] = {
    "block_out_channels": (16, 32, 32),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 24,
    "attention_head_dim": 4,
}
CASES: dict[str, dict[str, Any]] = {
    "one number of heads": {},
    "heads of each level, linear projections": {"attention_head_dim": [2, 4, 8], "use_linear_projection": True},
    "two blocks, two transformers": {"layers_per_block": 2, "transformer_layers_per_block": 2},
    "nine input channels": {"in_channels": 9},
    "classes": {"num_class_embeds": 5},
    "self-attention in the middle level": {
        "down_block_types": ("CrossAttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "CrossAttnUpBlock2D"),
        "attention_head_dim": [4, 8, 4],
    },
    "no attention but in the middle": {
        "down_block_types": ("DownBlock2D",) * 3,
        "up_block_types": ("UpBlock2D",) * 3,
    },
    "sines first, original frequencies": {"flip_sin_to_cos": False, "freq_shift": 1, "norm_eps": 1e-6},
    "four levels like the published ones": {
        "block_out_channels": (8, 16, 32, 32),
        "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        "attention_head_dim": [1, 2, 4, 4],
    },
}
WITHOUT_TEXT: dict[str, dict[str, Any]] = {
    "self-attention": {
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    },
    "no attention at all": {
        "down_block_types": ("DownBlock2D",) * 2,
        "up_block_types": ("UpBlock2D",) * 2,
        "add_attention": False,
    },
    "one head, classes": {
        "down_block_types": ("AttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D"),
        "attention_head_dim": None,
        "num_class_embeds": 5,
    },
}


SIZES = ((16, 16), (20, 28), (13, 7))  # square; odd at the coarsest level; odd at once


@pytest.mark.parametrize("case", CASES)
def test_the_same_prediction_as_diffusers(case: str, tmp_path: Path) -> None:
    theirs = scrambled(UNet2DConditionModel(**{**SMALL, **CASES[case]}))
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_unet(tmp_path / "theirs")
    timestep, label = torch.tensor([3, 981]), torch.tensor([0, 4]) if "num_class_embeds" in CASES[case] else None
    context = noise(2, 7, 24, seed=2)
    for size in SIZES[:1] if "self" in case else SIZES:  # diffusers' self-attention levels cannot go up to an odd size
        latent = noise(2, theirs.config.in_channels, *size)
        with torch.no_grad():
            expected = theirs(latent, timestep, context, class_labels=label).sample
            assert relative_error(ours(latent, timestep, context, label), expected) <= TOLERANCE


@pytest.mark.parametrize("case", WITHOUT_TEXT)
def test_the_same_prediction_without_text(case: str, tmp_path: Path) -> None:
    settings = {"block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8, **WITHOUT_TEXT[case]}
    theirs = scrambled(UNet2DModel(in_channels=4, out_channels=4, **settings))
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_unet(tmp_path / "theirs")
    label = torch.tensor([0, 4]) if "num_class_embeds" in settings else None
    latent, timestep = noise(2, 4, 12, 20), torch.tensor([3, 981])
    with torch.no_grad():
        expected = theirs(latent, timestep, class_labels=label).sample
        assert relative_error(ours(latent, timestep, class_label=label), expected) <= TOLERANCE


@pytest.mark.parametrize("case", CASES)
def test_diffusers_opens_what_we_write(case: str, tmp_path: Path) -> None:
    theirs = scrambled(UNet2DConditionModel(**{**SMALL, **CASES[case]}, sample_size=12))
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_unet(tmp_path / "theirs")
    save_unet(tmp_path / "ours", ours)
    again = UNet2DConditionModel.from_pretrained(tmp_path / "ours").eval()
    assert again.config.sample_size == 12
    assert_same_tensors(again, theirs)
    latent, context = noise(1, theirs.config.in_channels, 8, 8), noise(1, 7, 24, seed=2)
    label = torch.tensor([1]) if "num_class_embeds" in CASES[case] else None
    with torch.no_grad():
        results = [network(latent, 500, context, class_labels=label).sample for network in (theirs, again)]
    assert torch.equal(*results)


@pytest.mark.parametrize("case", WITHOUT_TEXT)
def test_diffusers_opens_what_we_write_without_text(case: str, tmp_path: Path) -> None:
    settings = {"block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8, **WITHOUT_TEXT[case]}
    theirs = scrambled(UNet2DModel(in_channels=4, out_channels=4, **settings))
    theirs.save_pretrained(tmp_path / "theirs")
    save_unet(tmp_path / "ours", load_unet(tmp_path / "theirs"))
    again = UNet2DModel.from_pretrained(tmp_path / "ours").eval()
    assert_same_tensors(again, theirs)
    label = torch.tensor([1]) if "num_class_embeds" in settings else None
    with torch.no_grad():
        results = [network(noise(1, 4, 8, 8), 500, class_labels=label).sample for network in (theirs, again)]
    assert torch.equal(*results)


def assert_same_tensors(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    expected = theirs.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.state_dict().items())


def test_it_says_what_it_needs(tmp_path: Path) -> None:
    UNet2DConditionModel(**SMALL, num_class_embeds=5).save_pretrained(tmp_path)
    ours = load_unet(tmp_path)
    with pytest.raises(BadInput, match="5 classes"):
        ours(noise(1, 4, 8, 8), 3, noise(1, 7, 24))
    with pytest.raises(BadInput, match="needs `context`"):
        ours(noise(1, 4, 8, 8), 3, None, torch.tensor([1]))
