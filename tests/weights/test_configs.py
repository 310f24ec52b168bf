"""config.json, both ways; and what we do not have is refused by name."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, schedulers

from safelight.catalog import CATALOG
from safelight.configs import AutoencoderConfig, ImageEncoderConfig, ScheduleConfig, TextEncoderConfig, UNetConfig
from safelight.errors import BadCheckpoint, BadInput
from safelight.weights.autoencoder_config import read_autoencoder_config, write_autoencoder_config
from safelight.weights.clip_config import read_clip_config, read_text_config, write_clip_config, write_text_config
from safelight.weights.fields import Fields
from safelight.weights.schedule_config import DEFAULTS, read_schedule_config, write_schedule_config
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


def fields(values: dict[str, Any]) -> Fields:
    return Fields("unet/config.json", values)


def test_the_number_of_heads_stands_under_another_name() -> None:
    assert read_unet_config(fields(SD_1)) == UNetConfig()
    assert read_unet_config(fields(SD_2)) == UNetConfig(
        heads=(5, 10, 20, 20), context_width=1024, projection="linear", sample_size=96
    )


@pytest.mark.parametrize("model", CATALOG, ids=lambda model: model.name)
def test_every_published_configuration_comes_back(model: Any) -> None:
    assert read_unet_config(fields(write_unet_config(model.unet))) == model.unet
    assert read_text_config(fields(write_text_config(model.text_encoder))) == model.text_encoder
    assert read_autoencoder_config(fields(write_autoencoder_config(model.autoencoder))) == model.autoencoder
    assert read_schedule_config(fields(write_schedule_config(model.schedule))) == model.schedule


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
        ("only_cross_attention", [True, True, True, False], "allowed: false"),
        ("class_embed_type", "projection", "allowed: null"),
        ("addition_embed_type", "text_time", "allowed: null"),
        ("encoder_hid_dim", 1024, "allowed: null"),
        ("time_cond_proj_dim", 256, "allowed: null"),
        ("num_attention_heads", 8, "allowed: null"),
        ("attention_type", "gated", 'allowed: "default"'),
        ("resnet_time_scale_shift", "scale_shift", 'allowed: "default"'),
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
    ("field", "value"),
    [
        ("_class_name", "AutoencoderKLCogVideoX"),
        ("shift_factor", 0.1),
        ("latents_mean", [0.0]),
        ("down_block_types", ["AttnDownEncoderBlock2D"]),
        ("up_block_types", ["UpDecoderBlock2D"] * 2),
        ("out_channels", 6),
        ("act_fn", "relu"),
        ("scaling_factor", None),
    ],
)
def test_what_our_autoencoder_does_not_have_is_refused(field: str, value: object) -> None:
    with pytest.raises(BadCheckpoint, match=field):
        read_autoencoder_config(fields({field: value}))


def test_clip_gives_the_joint_width_once() -> None:
    text, image = TextEncoderConfig(projection_width=512), ImageEncoderConfig(projection_width=512)
    assert read_clip_config(fields(write_clip_config(text, image))) == (text, image)
    old = {"projection_dim": 512, "text_config": {}, "text_config_dict": {"hidden_size": 64, "num_attention_heads": 2}}
    assert read_clip_config(fields(old))[0].width == 64


@pytest.mark.parametrize(("field", "value"), [("hidden_act", "relu"), ("model_type", "bert"), ("hidden_size", 100)])
def test_another_text_encoder_is_refused(field: str, value: object) -> None:
    with pytest.raises(BadCheckpoint, match="heads" if field == "hidden_size" else field):
        read_text_config(fields({field: value}))


@pytest.mark.parametrize(
    "config",
    [
        ScheduleConfig(),
        ScheduleConfig(prediction="v"),
        ScheduleConfig(law="linear", beta_start=0.0001, beta_end=0.02, prediction="x0", levels=400),
        ScheduleConfig(law="cosine"),
        ScheduleConfig(prediction="v", zero_terminal_snr=True),
    ],
)
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # diffusers' way through numpy
def test_diffusers_reads_the_same_noise_law(config: ScheduleConfig) -> None:
    written = write_schedule_config(config)
    assert read_schedule_config(fields(written)) == config
    scheduler = DPMSolverMultistepScheduler.from_config(written)
    assert len(scheduler.alphas_cumprod) == config.levels
    if config.law == "scaled_linear" and not config.zero_terminal_snr:
        assert torch.allclose(scheduler.alphas_cumprod[-1], torch.tensor(0.0047), atol=1e-4)
    assert scheduler.alphas_cumprod[-1] < (1e-6 if config.zero_terminal_snr else 0.2)


@pytest.mark.parametrize("name", [name for name in DEFAULTS if hasattr(schedulers, name)])
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # diffusers' way through numpy
def test_a_silent_file_means_the_defaults_of_its_class(name: str) -> None:
    try:
        config = getattr(schedulers, name)().config
    except ImportError:
        pytest.skip(f"{name} needs a package that is not installed")
    expected = read_schedule_config(
        fields({key: value for key, value in config.items() if key != "_use_default_values"})
    )
    assert read_schedule_config(fields({"_class_name": name})) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("_class_name", "FlowMatchEulerDiscreteScheduler"),
        ("trained_betas", [0.1, 0.2]),
        ("beta_schedule", "sigmoid"),
        ("prediction_type", "flow_prediction"),
        ("num_train_timesteps", 0),
        ("beta_end", 1.5),
        ("beta_start", "low"),
    ],
)
def test_another_noise_law_is_refused(field: str, value: object) -> None:
    with pytest.raises(BadCheckpoint, match=field):
        read_schedule_config(fields({field: value}))


def test_the_scale_of_the_latents_comes_back() -> None:
    config = AutoencoderConfig(channels=(32, 64, 64), scale=0.08333, latent_channels=3, blocks_per_level=1)
    assert read_autoencoder_config(fields(write_autoencoder_config(config))) == config
