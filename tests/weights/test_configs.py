"""config.json, both ways; and what we do not have is refused by name."""

from typing import Any

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, schedulers

from safelight.catalog import CATALOG, PublishedModel
from safelight.configs import AutoencoderConfig, ImageEncoderConfig, ScheduleConfig, TextEncoderConfig
from safelight.errors import BadCheckpoint
from safelight.weights.autoencoder_config import read_autoencoder_config, write_autoencoder_config
from safelight.weights.clip_config import read_clip_config, read_text_config, write_clip_config, write_text_config
from safelight.weights.fields import Fields
from safelight.weights.schedule_config import DEFAULTS, read_schedule_config, write_schedule_config


def fields(values: dict[str, Any]) -> Fields:
    return Fields("unet/config.json", values)


@pytest.mark.parametrize("model", CATALOG, ids=lambda model: model.name)
def test_every_published_configuration_comes_back(model: PublishedModel) -> None:
    if isinstance(model.text_encoder, TextEncoderConfig):
        assert read_text_config(fields(write_text_config(model.text_encoder))) == model.text_encoder
    assert read_autoencoder_config(fields(write_autoencoder_config(model.autoencoder))) == model.autoencoder
    assert read_schedule_config(fields(write_schedule_config(model.schedule))) == model.schedule


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
