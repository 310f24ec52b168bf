"""The config.json of autoencoders, both ways; and what ours do not have is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from safelight.configs import AutoencoderConfig
from safelight.errors import BadCheckpoint, BadInput
from safelight.weights.autoencoder_config import read_autoencoder_config, write_autoencoder_config
from safelight.weights.fields import Fields

# vqvae/config.json of a model of the paper's in this layout.
VQ: dict[str, Any] = {
    "_class_name": "VQModel",
    "block_out_channels": [128, 256, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "layers_per_block": 2,
    "num_vq_embeddings": 8192,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "vq_embed_dim": 3,
}


def read(values: dict[str, Any]) -> AutoencoderConfig:
    return read_autoencoder_config(Fields("vae/config.json", values))


def test_a_vqmodel_of_the_papers() -> None:
    assert read(VQ) == AutoencoderConfig(channels=(128, 256, 512), latent_channels=3, codes=8192, scale=1)


@pytest.mark.parametrize(
    "config",
    [
        AutoencoderConfig(scale=0.5),
        AutoencoderConfig(attention=(True, False, False, True)),
        AutoencoderConfig(middle_attention=False),
        AutoencoderConfig(latent_convs=False),
        AutoencoderConfig(codes=512, scale=1, attention=(False, False, False, True), middle_attention=False),
    ],
)
def test_every_shape_comes_back(config: AutoencoderConfig) -> None:
    assert read(write_autoencoder_config(config)) == config


def test_attention_on_no_level_can_be_said_in_two_ways() -> None:
    spelt_out = AutoencoderConfig(attention=(False,) * 4)
    assert read(write_autoencoder_config(spelt_out)) == replace(spelt_out, attention=())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("_class_name", "AsymmetricAutoencoderKL"),
        ("use_quant_conv", False),
        ("use_post_quant_conv", False),
        ("shift_factor", 0.1),
        ("mid_block_add_attention", "yes"),
        ("up_block_types", ["AttnUpDecoderBlock2D"]),
        ("down_block_types", ["CrossAttnDownBlock2D"]),
    ],
)
def test_what_our_kl_autoencoder_does_not_have_is_refused(field: str, value: object) -> None:
    with pytest.raises(BadCheckpoint, match="use_post_quant_conv" if "quant_conv" in field else field):
        read({field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("norm_type", "spatial"),
        ("lookup_from_codebook", True),
        ("vq_embed_dim", 4),
        ("num_vq_embeddings", 0),
        ("act_fn", "relu"),
        ("up_block_types", ["UpDecoderBlock2D"] * 2),
        ("scaling_factor", None),
    ],
)
def test_what_our_vq_autoencoder_does_not_have_is_refused(field: str, value: object) -> None:
    with pytest.raises(BadCheckpoint, match=field):
        read({**VQ, field: value})


def test_attention_must_be_mirrored() -> None:
    down = ["AttnDownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"]
    up = ["UpDecoderBlock2D", "UpDecoderBlock2D", "AttnUpDecoderBlock2D"]
    assert read({**VQ, "down_block_types": down, "up_block_types": up}).attention == (True, False, False)
    with pytest.raises(BadCheckpoint, match="read backwards"):
        read({**VQ, "down_block_types": down, "up_block_types": up[::-1]})


def test_a_vq_autoencoder_without_latent_convolutions_cannot_be_said() -> None:
    with pytest.raises(BadInput, match="VQModel"):
        write_autoencoder_config(AutoencoderConfig(codes=8, latent_convs=False))
