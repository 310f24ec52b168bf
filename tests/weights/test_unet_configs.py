"""A UNet's config.json, both ways; and what we do not have is refused by name."""

from dataclasses import replace
from typing import Any

import pytest

from safelight.catalog import CATALOG, PublishedModel
from safelight.configs import UNetConfig
from safelight.errors import BadCheckpoint, BadInput
from safelight.weights.fields import Fields
from safelight.weights.unconditional_unet_config import (
    read_unconditional_unet_config,
    write_unconditional_unet_config,
)
from safelight.weights.unet_config import read_unet_config, write_unet_config

# As published with each model, in the words of its own file.
SD_1: dict[str, Any] = {"attention_head_dim": 8, "cross_attention_dim": 768, "sample_size": 64}
SD_2: dict[str, Any] = {
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "dual_cross_attention": False,
    "use_linear_projection": True,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "upcast_attention": True,
    "sample_size": 96,
}


X4: dict[str, Any] = {
    "attention_head_dim": 8,
    "block_out_channels": [256, 512, 512, 1024],
    "class_embed_type": None,
    "cross_attention_dim": 1024,
    "down_block_types": ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 3,
    "in_channels": 7,
    "num_class_embeds": 1000,
    "only_cross_attention": [True, True, True, False],
    "sample_size": 128,
    "up_block_types": ["CrossAttnUpBlock2D"] * 3 + ["UpBlock2D"],
    "use_linear_projection": True,
}
UNCLIP: dict[str, Any] = {**SD_2, "class_embed_type": "projection", "projection_class_embeddings_input_dim": 2048}
LCM: dict[str, Any] = {**SD_1, "time_cond_proj_dim": 256}
CONSISTENCY: dict[str, Any] = {  # cd_imagenet64, the best-known UNet2DModel with scale and shift
    "attention_head_dim": 64,
    "attn_norm_num_groups": 32,
    "block_out_channels": [192, 384, 576, 768],
    "down_block_types": ["ResnetDownsampleBlock2D"] + ["AttnDownBlock2D"] * 3,
    "downsample_type": "resnet",
    "layers_per_block": 3,
    "num_class_embeds": 1000,
    "resnet_time_scale_shift": "scale_shift",
    "up_block_types": ["AttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"],
    "upsample_type": "resnet",
}
ONLY_IN_ITS_OWN_LAYOUT = {"ldm-lsun-churches", "ldm-inpainting"}  # eight heads at every width


def fields(values: dict[str, Any]) -> Fields:
    return Fields("unet/config.json", values)


def test_the_number_of_heads_stands_under_another_name() -> None:
    assert read_unet_config(fields(SD_1)) == UNetConfig()
    assert read_unet_config(fields(SD_2)) == UNetConfig(
        heads=(5, 10, 20, 20), context_width=1024, projection="linear", sample_size=96
    )


def write(config: UNetConfig) -> dict[str, Any]:
    return write_unet_config(config) if config.reads_context else write_unconditional_unet_config(config)


@pytest.mark.parametrize("model", CATALOG, ids=lambda model: model.name)
def test_every_published_unet_comes_back(model: PublishedModel) -> None:
    read = read_unet_config if model.unet.reads_context else read_unconditional_unet_config
    if model.name in ONLY_IN_ITS_OWN_LAYOUT:
        with pytest.raises(BadInput, match="one width for all"):
            write(model.unet)
    else:
        assert read(fields(write(model.unet))) == model.unet


def test_the_published_files_of_the_wider_family_are_read() -> None:
    sd_2 = read_unet_config(fields(SD_2))
    assert read_unet_config(fields(UNCLIP)) == replace(sd_2, class_vector=2048)
    assert read_unet_config(fields(LCM)) == UNetConfig(guidance_width=256)
    assert read_unet_config(fields(X4)) == UNetConfig(
        in_channels=7,
        channels=(256, 512, 512, 1024),
        attention=("none", "only_cross", "only_cross", "cross"),
        context_width=1024,
        projection="linear",
        classes=1000,
        sample_size=128,
    )
    consistency = read_unconditional_unet_config(fields(CONSISTENCY))
    assert (consistency.modulation, consistency.resampling, consistency.heads) == (
        "scale_and_shift",
        "residual",
        (3, 6, 9, 12),
    )


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(classes=10, norm_epsilon=1e-6, frequency_shift=1.0, sine_first=True),
        UNetConfig(transformer_depth=3, blocks_per_level=1, sample_size=8),
        UNetConfig(channels=(32, 64, 96), attention=("cross", "self", "cross"), heads=(4, 8, 12)),
        UNetConfig(channels=(32, 64), attention=("self", "self"), heads=(2, 4), middle_attention="self"),
        UNetConfig(channels=(32, 64), attention=("self", "self"), heads=(1, 1), middle_attention="none"),
    ],
)
def test_other_unets_come_back(config: UNetConfig) -> None:
    with_text = config.middle_attention == "cross"
    written = write_unet_config(config) if with_text else write_unconditional_unet_config(config)
    read = read_unet_config if with_text else read_unconditional_unet_config
    assert read(fields(written)) == (config if with_text else replace(config, context_width=768))


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(middle_attention="none"),
        UNetConfig(channels=(32, 64), attention=("self", "cross"), heads=(4, 4)),
        UNetConfig(channels=(32, 64), attention=("cross", "self"), heads=(4, 4)),
    ],
)
def test_a_unet_that_diffusers_cannot_say_is_refused(config: UNetConfig) -> None:
    with pytest.raises(BadInput, match="UNet2DConditionModel"):
        write_unet_config(config)


def test_heads_of_several_widths_need_the_text_layout() -> None:
    config = UNetConfig(channels=(32, 64), attention=("self", "self"), heads=(4, 4), middle_attention="self")
    with pytest.raises(BadInput, match="one width for all"):
        write_unconditional_unet_config(config)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("_class_name", "UNet3DConditionModel", "UNet2DConditionModel"),
        ("dual_cross_attention", True, "allowed: false"),
        ("only_cross_attention", [True, True], "allowed: false, true, or a list of 4"),
        ("only_cross_attention", "yes", "allowed: false, true, or a list of 4"),
        ("mid_block_only_cross_attention", True, "allowed: null, false"),
        ("class_embed_type", "timestep", 'allowed: null, "projection"'),
        ("class_embed_type", "identity", 'allowed: null, "projection"'),
        ("class_embed_type", "simple_projection", 'allowed: null, "projection"'),
        ("projection_class_embeddings_input_dim", 1024, 'needs class_embed_type "projection"'),
        ("encoder_hid_dim_type", "text_proj", "allowed: null"),
        ("class_embeddings_concat", True, "allowed: false"),
        ("addition_embed_type", "text_time", 'allowed: null, "text"'),
        ("encoder_hid_dim", 1024, "allowed: null"),
        ("time_cond_proj_dim", 0, "whole number from 1"),
        ("time_cond_proj_dim", 255, "an even number"),
        ("num_attention_heads", 8, "allowed: null"),
        ("attention_type", "gated", 'allowed: "default"'),
        ("resnet_time_scale_shift", "ada_group", 'allowed: "default", "scale_shift"'),
        ("up_block_types", ["ResnetUpsampleBlock2D"] + ["CrossAttnUpBlock2D"] * 3, "in one way"),
        ("act_fn", "gelu", 'allowed: "silu", "swish"'),
        ("mid_block_type", None, 'allowed: "UNetMidBlock2DCrossAttn"'),
        ("mid_block_type", "UNetMidBlock2DSimpleCrossAttn", 'allowed: "UNetMidBlock2DCrossAttn"'),
        ("down_block_types", ["SimpleCrossAttnDownBlock2D"] * 4, "CrossAttnDownBlock2D"),
        ("down_block_types", "DownBlock2D", "allowed in this list"),
        ("down_block_types", ["DownBlock2D"] * 4, "mirror"),
        ("up_block_types", ["CrossAttnUpBlock2D"] * 4, "must mirror down_block_types"),
        ("block_out_channels", [320, 640], "needs 2 entries"),
        ("block_out_channels", [], "whole numbers from 1"),
        ("block_out_channels", [320, 640, 1280, 1288], "must divide 1288"),
        ("block_out_channels", [320, 640, 1280, -1], "whole numbers from 1"),
        ("layers_per_block", [2, 2, 2, 3], "the same on all levels"),
        ("layers_per_block", 10**9, "from 1 to"),
        ("layers_per_block", True, "whole numbers from 1"),
        ("cross_attention_dim", [768, 768, 768, 512], "the same on all levels"),
        ("transformer_layers_per_block", [1, 2, 10, 10], "the same on all levels"),
        ("attention_head_dim", 7, "for 1280 channels"),
        ("attention_head_dim", [8, 7, 8, 8], "must divide 640"),
        ("attention_head_dim", [8, 8], "4 whole numbers"),
        ("attention_head_dim", None, "4 whole numbers"),
        ("norm_num_groups", None, "whole number"),
        ("norm_eps", "small", "must be a number"),
        ("norm_eps", float("nan"), "must be a number"),
        ("num_class_embeds", 0, "whole number from 1"),
        ("sample_size", "big", "whole numbers"),
        ("in_channels", 4.5, "whole number"),
        ("use_linear_projection", "yes", "allowed: false, true"),
        ("flip_sin_to_cos", [], "allowed: true, false"),
    ],
)
def test_what_our_unet_does_not_have_is_refused(field: str, value: object, allowed: str) -> None:
    with pytest.raises(BadCheckpoint) as raised:
        read_unet_config(fields({**SD_1, field: value}))
    message = str(raised.value)
    assert "unet/config.json" in message
    assert allowed in message


@pytest.mark.parametrize(
    "heads", [[8, 8, 4, 8], [8, 7, 7, 8]], ids=["not the same backwards", "not a divisor of the level"]
)
def test_self_attention_reads_the_list_of_heads_both_ways(heads: list[int]) -> None:
    blocks = ["CrossAttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "CrossAttnDownBlock2D"]
    ups = ["CrossAttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "CrossAttnUpBlock2D"]
    changed = {"down_block_types": blocks, "up_block_types": ups, "attention_head_dim": heads}
    with pytest.raises(BadCheckpoint, match="read the same backwards"):
        read_unet_config(fields({**SD_1, **changed}))


def test_self_attention_in_the_coarsest_level_shares_its_entry_with_the_middle() -> None:
    blocks = {"down_block_types": ["AttnDownBlock2D"] * 2, "up_block_types": ["AttnUpBlock2D"] * 2}
    square = {**blocks, "block_out_channels": [32, 64], "attention_head_dim": 8}
    assert read_unet_config(fields(square)).heads == (4, 8)
    with pytest.raises(BadCheckpoint, match="number of heads for 64 channels"):
        read_unet_config(fields({**square, "attention_head_dim": 16}))


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("downsample_type", "conv", "the same as downsample_type"),
        ("downsample_type", "fir", 'allowed: "conv", "resnet"'),
        ("attn_norm_num_groups", None, "it must be 32"),
        ("attn_norm_num_groups", 16, "it must be 32"),
        ("class_embed_type", "timestep", "allowed: null"),
        ("time_embedding_type", "fourier", 'allowed: "positional"'),
        ("down_block_types", ["DownBlock2D"] + ["AttnDownBlock2D"] * 3, "in one way"),
        ("down_block_types", ["CrossAttnDownBlock2D"] * 4, "allowed in this list"),
        ("attention_head_dim", 100, "must divide 384"),
    ],
)
def test_what_our_unet_without_text_does_not_have_is_refused(field: str, value: object, allowed: str) -> None:
    with pytest.raises(BadCheckpoint, match=allowed):
        read_unconditional_unet_config(fields({**CONSISTENCY, field: value}))


@pytest.mark.parametrize("changes", [{"class_vector": 3}, {"guidance_width": 8}])
def test_what_diffusers_unet_without_text_does_not_have_is_refused(changes: dict[str, int]) -> None:
    config = UNetConfig(channels=(32, 64), attention=("none", "none"), heads=(1, 1), middle_attention="none")
    with pytest.raises(BadInput, match="has no such input"):
        write_unconditional_unet_config(replace(config, **changes))
