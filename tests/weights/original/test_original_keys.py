"""The original layout's tables against diffusers' own converters, on the same tensors, and against a second statement.

Where diffusers has no converter (self-attention by head, resizing residual blocks, VQ), names and order of numbers are
held against the authors' formulas in unet/original.py, or written out here.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel
from unet.original import Settings, predict, shapes

from safelight.autoencoder import Autoencoder
from safelight.catalog import published
from safelight.configs import AutoencoderConfig, BertConfig, ImageEncoderConfig, TextEncoderConfig, UNetConfig
from safelight.errors import BadCheckpoint
from safelight.text import BertEncoder, ImageEmbedder, TextEncoder
from safelight.unet import UNet
from safelight.weights.autoencoder_config import write_autoencoder_config
from safelight.weights.autoencoder_keys import AUTOENCODER_KEYS
from safelight.weights.clip_keys import TEXT_ENCODER_KEYS
from safelight.weights.key_table import KeyTable
from safelight.weights.original import (
    IMAGE_KEYS,
    open_clip_text_keys,
    original_autoencoder_keys,
    original_bert_keys,
    original_unet_keys,
)
from safelight.weights.recognition import recognise
from safelight.weights.recognition.opening import open_found
from safelight.weights.strict import foreign_tensors, load_strictly
from safelight.weights.unet_config import write_unet_config
from safelight.weights.unet_keys import unet_keys
from weights.family import ARCHITECTURES, small_unet
from weights.references import TOLERANCE, noise, relative_error, scrambled

TEXT = TextEncoderConfig(vocabulary=50, length=12, width=32, hidden_width=40, layers=2, heads=2, projection_width=32)


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.parametrize("row", [row for row in ARCHITECTURES if row.unet.reads_context], ids=lambda row: row.name)
def test_unets_as_diffusers_converts_them(row) -> None:  # type: ignore[no-untyped-def]
    config = small_unet(row.unet)
    unet = scrambled(UNet(config))
    original = foreign_tensors(unet, original_unet_keys(config))
    theirs = convert_ldm_unet_checkpoint(
        {f"model.diffusion_model.{name}": tensor for name, tensor in original.items()}, write_unet_config(config)
    )
    assert_same(foreign_tensors(unet, unet_keys(config)), theirs)


ORIGINALS = {
    "self-attention": Settings(
        in_channels=3,
        out_channels=3,
        model_channels=32,
        attention_resolutions=(2, 1),
        channel_mult=(1, 2),
        num_head_channels=16,
    ),
    "residual resizing": Settings(
        in_channels=4,
        out_channels=4,
        model_channels=32,
        attention_resolutions=(1, 2),
        channel_mult=(1, 2, 2),
        num_heads=2,
        use_scale_shift_norm=True,
        resblock_updown=True,
    ),
    "transformers": Settings(
        in_channels=3,
        out_channels=3,
        model_channels=32,
        attention_resolutions=(2,),
        channel_mult=(1, 2),
        num_heads=8,
        context_dim=20,
        transformer_depth=2,
    ),
}


@pytest.mark.parametrize("name", ORIGINALS)
@torch.no_grad()
def test_a_file_of_the_authors_names_gives_the_authors_numbers(name: str) -> None:
    settings = ORIGINALS[name]
    generator = torch.Generator().manual_seed(0)
    tensors = {
        key: 0.1 * torch.randn(shape, generator=generator) + (1.0 if len(shape) == 1 and "weight" in key else 0.0)
        for key, shape in shapes(settings).items()
    }
    contents = recognise({f"model.diffusion_model.{key}": tensor for key, tensor in tensors.items()})
    found = contents.part("unet")
    heads = tuple(
        settings.num_heads if settings.num_heads > 0 else width // settings.num_head_channels
        for width in found.config.channels
    )
    found = replace(found, config=replace(found.config, heads=heads))
    unet = open_found(found, "x", {f"model.diffusion_model.{key}": tensor for key, tensor in tensors.items()}, None)
    x, steps = noise(2, settings.in_channels, 8, 8), torch.tensor([3, 900])
    context = noise(2, 5, settings.context_dim) if settings.context_dim else None
    assert relative_error(unet(x, steps, context), predict(tensors, settings, x, steps, context)) < TOLERANCE


def test_autoencoders_as_diffusers_converts_them() -> None:
    config = AutoencoderConfig(channels=(8, 16, 24), blocks_per_level=2, groups=8)
    autoencoder = scrambled(Autoencoder(config))
    original = foreign_tensors(autoencoder, original_autoencoder_keys(config))
    assert original["decoder.mid.attn_1.q.weight"].shape == (24, 24, 1, 1)
    theirs = convert_ldm_vae_checkpoint(
        {f"first_stage_model.{name}": tensor for name, tensor in original.items()}, write_autoencoder_config(config)
    )
    assert_same(foreign_tensors(autoencoder, AUTOENCODER_KEYS), theirs)


def test_a_vq_autoencoder_with_attention_on_its_levels() -> None:
    config = AutoencoderConfig(channels=(8, 16), blocks_per_level=1, groups=8, codes=20, attention=(False, True))
    autoencoder = Autoencoder(config)
    names = foreign_tensors(autoencoder, original_autoencoder_keys(config))
    expected = {"quantize.embedding.weight": (20, 4), "quant_conv.weight": (4, 4, 1, 1), "post_quant_conv.bias": (4,)}
    for place in ("encoder.down.1.attn.0", "decoder.up.1.attn.0", "decoder.up.1.attn.1", "encoder.mid.attn_1"):
        expected |= {f"{place}.{leaf}.weight": (16, 16, 1, 1) for leaf in ("q", "k", "v", "proj_out")}
        expected |= {f"{place}.norm.weight": (16,)}
    assert {name: tuple(names[name].shape) for name in expected} == expected
    coarsest = autoencoder.decoder.up[0].residual[0].conv1.weight
    assert names["decoder.up.1.block.0.conv1.weight"] is coarsest or torch.equal(
        names["decoder.up.1.block.0.conv1.weight"], coarsest
    )
    assert "decoder.up.0.attn.0.norm.weight" not in names


def test_openai_text_encoders_as_diffusers_converts_them() -> None:
    encoder = scrambled(TextEncoder(TEXT))
    original = foreign_tensors(encoder, TEXT_ENCODER_KEYS)
    theirs = convert_ldm_clip_checkpoint(
        {f"cond_stage_model.transformer.{name}": tensor for name, tensor in original.items()}
    )
    assert_same(original, theirs)


def test_openclip_text_encoders_as_diffusers_converts_them() -> None:
    encoder = scrambled(TextEncoder(replace(TEXT, activation="gelu")))
    original = foreign_tensors(encoder, open_clip_text_keys(encoder.config, 2))
    assert original["transformer.resblocks.0.attn.in_proj_weight"].shape == (96, 32)
    reference = CLIPTextModel(
        CLIPTextConfig(vocab_size=50, max_position_embeddings=12, hidden_size=32, intermediate_size=40,
                       num_hidden_layers=2, num_attention_heads=2, hidden_act="gelu")
    )  # fmt: skip
    theirs = convert_open_clip_checkpoint(
        reference, {f"cond_stage_model.model.{name}": tensor for name, tensor in original.items()}
    )
    plain = {name.removeprefix("text_model."): tensor for name, tensor in theirs.items()}
    ours = {
        name.removeprefix("text_model."): tensor for name, tensor in foreign_tensors(encoder, TEXT_ENCODER_KEYS).items()
    }
    assert_same(ours, {name: tensor for name, tensor in plain.items() if name in ours} | {
        name: tensor for name, tensor in plain.items() if "position_ids" not in name
    })  # fmt: skip


def test_the_last_layer_of_openclip_is_left_out() -> None:
    whole = scrambled(TextEncoder(replace(TEXT, layers=3, activation="gelu")))
    tensors = foreign_tensors(whole, open_clip_text_keys(whole.config, 3))
    tensors |= {"text_projection": noise(32, 32), "logit_scale": torch.zeros(())}
    contents = recognise({f"cond_stage_model.model.{name}": tensor for name, tensor in tensors.items()})
    found = contents.part("text_encoder")
    assert found.config.layers == 2
    encoder = open_found(found, "x", {f"cond_stage_model.model.{name}": t for name, t in tensors.items()}, None)
    assert torch.equal(encoder.layers[1].attention.key.weight, whole.layers[1].attention.key.weight)
    assert torch.equal(encoder.final_norm.weight, whole.final_norm.weight)


@torch.no_grad()
def test_an_openclip_image_encoder_has_its_projection_transposed() -> None:
    config = ImageEncoderConfig(size=28, patch=14, width=32, hidden_width=40, layers=2, heads=2, projection_width=24)
    embedder = scrambled(ImageEmbedder(config))
    tensors = foreign_tensors(embedder, IMAGE_KEYS)
    assert torch.equal(tensors["proj"], embedder.projection.weight.T)
    assert tensors["positional_embedding"].shape == (5, 32)
    hidden = noise(3, 32)
    assert torch.allclose(hidden @ tensors["proj"], embedder.projection(hidden), atol=1e-6)


def _networks() -> list[tuple[nn.Module, KeyTable]]:
    with torch.device("meta"):
        bert, large = BertConfig(layers=3), published("ldm-lsun-churches")
        return [
            (UNet(UNetConfig()), original_unet_keys(UNetConfig())),
            (UNet(large.unet), original_unet_keys(large.unet)),
            (Autoencoder(AutoencoderConfig()), original_autoencoder_keys(AutoencoderConfig())),
            (BertEncoder(bert), original_bert_keys(bert)),
        ]


@pytest.mark.parametrize("place", range(4))
def test_every_tensor_goes_there_and_back(place: int) -> None:
    network, table = _networks()[place]
    foreign = foreign_tensors(network, table)
    back = load_strictly("network", lambda: network, table, "x", foreign, None)
    held = [name for key in foreign for name in table.place(key).ours]
    assert sorted(held) == sorted(back.state_dict())


def test_fused_tensors_of_a_wrong_shape_are_named() -> None:
    config = small_unet(published("ldm-celebahq").unet)
    tensors = foreign_tensors(UNet(config), original_unet_keys(config))
    tensors["middle_block.1.qkv.weight"] = torch.zeros(7, 3)
    with pytest.raises(BadCheckpoint, match=r"middle_block.1.qkv.weight is 7x3, expected 384x128x1"):
        load_strictly("unet", lambda: UNet(config), original_unet_keys(config), "x", tensors, None)
