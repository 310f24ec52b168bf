"""The UNet against diffusers', with the same random weights, through the files that both read.

Every architecture of the family that diffusers has stands here at a small size; those that it lacks are in
test_original.py.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import LatentConsistencyModelPipeline, UNet2DConditionModel, UNet2DModel
from torch import Tensor, nn
from weights.references import TOLERANCE, noise, relative_error, scrambled, settled

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
    "the text beside the noise level": {"addition_embed_type": "text", "addition_embed_type_num_heads": 4},
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
    "scale and shift": {"resnet_time_scale_shift": "scale_shift"},
    "residual resampling": {
        "down_block_types": ("ResnetDownsampleBlock2D",) * 3,
        "up_block_types": ("ResnetUpsampleBlock2D",) * 3,
        "resnet_time_scale_shift": "scale_shift",
    },
    "x4 upscaler": {
        "in_channels": 7,
        "block_out_channels": (16, 32, 32, 64),
        "layers_per_block": 2,
        "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
        "up_block_types": ("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
        "only_cross_attention": [True, True, True, False],
        "attention_head_dim": 8,
        "use_linear_projection": True,
        "num_class_embeds": 10,
    },
    "only cross-attention at every level": {"only_cross_attention": True},
    "unCLIP": {
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": 20,
        "use_linear_projection": True,
        "attention_head_dim": [2, 4, 4],
    },
    "LCM": {"time_cond_proj_dim": 12},
    "depth2img": {"in_channels": 5, "use_linear_projection": True, "attention_head_dim": [2, 4, 4]},
    "instruct-pix2pix": {"in_channels": 8},
    "cin256-v2": {
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": (8, 16, 24, 40),
        "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
        "up_block_types": ("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
        "attention_head_dim": 1,
    },
    "layout2img": {
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": (8, 16, 24, 32),
        "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
        "up_block_types": ("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
        "attention_head_dim": [1, 2, 3, 4],
        "transformer_layers_per_block": 3,
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
    "celebahq, ffhq, bedrooms": {
        "block_out_channels": (16, 32, 48, 64),
        "layers_per_block": 2,
        "down_block_types": ("DownBlock2D",) + ("AttnDownBlock2D",) * 3,
        "up_block_types": ("AttnUpBlock2D",) * 3 + ("UpBlock2D",),
    },
    "bsr_sr": {
        "in_channels": 6,
        "out_channels": 3,
        "block_out_channels": (16, 32, 32, 64),
        "layers_per_block": 2,
        "down_block_types": ("DownBlock2D",) * 3 + ("AttnDownBlock2D",),
        "up_block_types": ("AttnUpBlock2D",) + ("UpBlock2D",) * 3,
    },
    "semantic synthesis": {
        "in_channels": 6,
        "out_channels": 3,
        "block_out_channels": (8, 32, 64),
        "layers_per_block": 2,
        "down_block_types": ("DownBlock2D",) * 3,
        "up_block_types": ("UpBlock2D",) * 3,
    },
    "like inpainting_big": {
        "in_channels": 7,
        "out_channels": 3,
        "block_out_channels": (16, 32, 48, 64),
        "layers_per_block": 2,
        "down_block_types": ("ResnetDownsampleBlock2D",) + ("AttnDownBlock2D",) * 3,
        "up_block_types": ("AttnUpBlock2D",) * 3 + ("ResnetUpsampleBlock2D",),
        "downsample_type": "resnet",
        "upsample_type": "resnet",
    },
    "like churches": {
        "block_out_channels": (16, 32, 32, 64, 64),
        "layers_per_block": 2,
        "down_block_types": ("AttnDownBlock2D",) * 4 + ("ResnetDownsampleBlock2D",),
        "up_block_types": ("ResnetUpsampleBlock2D",) + ("AttnUpBlock2D",) * 4,
        "downsample_type": "resnet",
        "upsample_type": "resnet",
        "resnet_time_scale_shift": "scale_shift",
        "attn_norm_num_groups": 8,
    },
}


SIZES = ((16, 16), (20, 28), (13, 7))  # square; odd at the coarsest level; odd at once


# diffusers' levels with self-attention, and its residual resampling, cannot go up to an odd size
SQUARE_ONLY = {"self-attention in the middle level", "residual resampling"}
GUIDANCE = 7.5


def with_text(case: str) -> UNet2DConditionModel:
    return scrambled(UNet2DConditionModel(**{**SMALL, **CASES[case]}, sample_size=12))


def without_text(case: str) -> UNet2DModel:
    settings = {"block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8, "in_channels": 4}
    return scrambled(UNet2DModel(**{**settings, "out_channels": 4, **WITHOUT_TEXT[case]}))


def label(theirs: nn.Module, batch: int = 2) -> Tensor | None:
    """What stands for a class, if it knows any."""
    if theirs.config.num_class_embeds:
        return torch.tensor([0, 4])[:batch]
    width = theirs.config.get("projection_class_embeddings_input_dim")
    return noise(batch, width, seed=3) if width else None


def guidance(theirs: nn.Module, batch: int = 2) -> Tensor | None:
    """The guidance that a distilled UNet is to imitate, as diffusers' own pipeline tells it."""
    width = theirs.config.time_cond_proj_dim
    if width is None:
        return None
    above_none = torch.full((batch,), GUIDANCE - 1)
    return LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, above_none, embedding_dim=width)


@pytest.mark.parametrize("case", CASES)
def test_the_same_prediction_as_diffusers(case: str, tmp_path: Path) -> None:
    theirs = with_text(case)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_unet(tmp_path / "theirs")
    timestep, context = torch.tensor([3, 981]), noise(2, 7, 24, seed=2)
    for size in SIZES[:1] if case in SQUARE_ONLY else SIZES:
        latent = noise(2, theirs.config.in_channels, *size)
        with torch.no_grad():
            expected = theirs(
                latent, timestep, context, class_labels=label(theirs), timestep_cond=guidance(theirs)
            ).sample
            found = ours(latent, timestep, context, label(theirs), guidance=GUIDANCE)
        assert relative_error(found, expected) <= TOLERANCE


@pytest.mark.parametrize("case", WITHOUT_TEXT)
def test_the_same_prediction_without_text(case: str, tmp_path: Path) -> None:
    theirs = without_text(case)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_unet(tmp_path / "theirs")
    latent, timestep = noise(2, theirs.config.in_channels, 16, 32), torch.tensor([3, 981])
    with torch.no_grad():
        expected = theirs(latent, timestep, class_labels=label(theirs)).sample
        assert relative_error(ours(latent, timestep, class_label=label(theirs)), expected) <= TOLERANCE


@pytest.mark.parametrize("case", CASES)
def test_diffusers_opens_what_we_write(case: str, tmp_path: Path) -> None:
    theirs = with_text(case)
    theirs.save_pretrained(tmp_path / "theirs")
    save_unet(tmp_path / "ours", load_unet(tmp_path / "theirs"))
    again = settled(UNet2DConditionModel.from_pretrained(tmp_path / "ours").eval())
    assert again.config.sample_size == 12
    assert_same_tensors(again, theirs)
    latent, context = noise(1, theirs.config.in_channels, 8, 8), noise(1, 7, 24, seed=2)
    rest = {"class_labels": label(theirs, 1), "timestep_cond": guidance(theirs, 1)}
    with torch.no_grad():
        results = [network(latent, 500, context, **rest).sample for network in (theirs, again)]
    assert torch.equal(*results)


@pytest.mark.parametrize("case", WITHOUT_TEXT)
def test_diffusers_opens_what_we_write_without_text(case: str, tmp_path: Path) -> None:
    theirs = without_text(case)
    theirs.save_pretrained(tmp_path / "theirs")
    save_unet(tmp_path / "ours", load_unet(tmp_path / "theirs"))
    again = settled(UNet2DModel.from_pretrained(tmp_path / "ours").eval())
    assert_same_tensors(again, theirs)
    latent = noise(1, theirs.config.in_channels, 16, 16)
    with torch.no_grad():
        results = [network(latent, 500, class_labels=label(theirs, 1)).sample for network in (theirs, again)]
    assert torch.equal(*results)


def assert_same_tensors(ours: nn.Module, theirs: nn.Module) -> None:
    expected = theirs.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.state_dict().items())
