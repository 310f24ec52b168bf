"""What a file is told to hold: every published model at full size (shapes alone), in every form, and what is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from safelight.autoencoder import Autoencoder, TinyAutoencoder
from safelight.catalog import CATALOG, PublishedModel, published
from safelight.conditioning import ClassEmbedder, EmbeddingStatistics, Rescaler
from safelight.configs import BertConfig, TinyAutoencoderConfig
from safelight.text import BertEncoder, ImageEmbedder, TextEncoder
from safelight.unet import UNet
from safelight.weights import Parts
from safelight.weights.autoencoder_keys import AUTOENCODER_KEYS
from safelight.weights.bert_keys import BERT_KEYS
from safelight.weights.clip_keys import IMAGE_EMBEDDER_KEYS, TEXT_ENCODER_KEYS
from safelight.weights.key_table import KeyTable
from safelight.weights.original import open_clip_text_keys, original_autoencoder_keys, original_unet_keys
from safelight.weights.original.layout import original_tensors
from safelight.weights.recognition import recognise
from safelight.weights.recognition.matching import alike
from safelight.weights.strict import foreign_tensors
from safelight.weights.tiny_autoencoder_keys import tiny_autoencoder_keys, tiny_decoder_keys, tiny_encoder_keys
from safelight.weights.unet_keys import unet_keys
from weights.family import ARCHITECTURES


@cache
def meta_parts(row: PublishedModel) -> Parts:
    """A published model at full size, without numbers."""
    with torch.device("meta"):
        text: nn.Module | None = None
        if row.text_encoder is not None:
            text = (
                BertEncoder(row.text_encoder)
                if isinstance(row.text_encoder, BertConfig)
                else TextEncoder(row.text_encoder)
            )
        return Parts(
            unet=UNet(row.unet),
            schedule=row.schedule,
            autoencoder=Autoencoder(row.autoencoder),
            text_encoder=text,
            class_embedder=ClassEmbedder(row.class_embedder) if row.class_embedder else None,
            rescaler=Rescaler(row.rescaler) if row.rescaler else None,
            image_encoder=ImageEmbedder(row.image_encoder) if row.image_encoder else None,
            embedding_statistics=EmbeddingStatistics(row.image_encoder.projection_width) if row.image_encoder else None,
            noise_schedule=row.noise_schedule,
        )


@cache
def meta_tensors(row: PublishedModel) -> dict[str, Tensor]:
    """The same as a file in the original layout."""
    return original_tensors(meta_parts(row))


@pytest.mark.parametrize("row", CATALOG, ids=lambda row: row.name)
def test_every_published_model_is_recognised_by_its_shapes(row: PublishedModel) -> None:
    tensors = meta_tensors(row)
    start = time.perf_counter()
    contents = recognise(tensors)
    assert time.perf_counter() - start < 5
    assert row in contents.models
    assert contents.task == row.task
    assert contents.unknown == ()
    assert not any(part.fault for part in contents.found)
    for slot in ("unet", "autoencoder", "text_encoder", "class_embedder", "rescaler", "image_encoder"):
        part, config = contents.part(slot), getattr(row, slot)
        assert (part is None) == (config is None), slot
        assert part is None or alike(part.config, config), slot
    alone = {row.name for row in contents.models}
    assert len(alone) == 1 or len({(like.unet.in_channels, like.task) for like in contents.models}) == 1


def test_what_models_can_only_be_told_apart_by_their_numbers() -> None:
    def names(name: str) -> set[str]:
        return {row.name for row in recognise(meta_tensors(published(name))).models}

    assert names("sd-1.4") == {"sd-1.1", "sd-1.2", "sd-1.3", "sd-1.4", "sd-1.5"}
    assert names("sd-2.1") == {"sd-2.0-base", "sd-2.0", "sd-2.1-base", "sd-2.1"}
    assert names("ldm-ffhq") == {"ldm-celebahq", "ldm-ffhq", "ldm-lsun-bedrooms"}


@pytest.mark.parametrize("row", CATALOG, ids=lambda row: row.name)
def test_hidden_settings_come_from_the_catalogue(row: PublishedModel) -> None:
    contents = recognise(meta_tensors(row))
    assert contents.part("unet").config.heads == row.unet.heads
    assert contents.part("autoencoder").config.scale == row.autoencoder.scale


def _single_parts() -> list[tuple[str, str, str, Callable[[], nn.Module], KeyTable]]:
    sd1, sd2, unclip, large = (
        published(name) for name in ("sd-1.4", "sd-2.1-base", "sd-2.1-unclip", "ldm-text2img-large")
    )
    tiny, vae, text = TinyAutoencoderConfig(), sd1.autoencoder, sd2.text_encoder
    return [
        ("unet", "original", "", lambda: UNet(sd1.unet), original_unet_keys(sd1.unet)),
        ("unet", "diffusers", "", lambda: UNet(sd2.unet), unet_keys(sd2.unet)),
        ("autoencoder", "original", "", lambda: Autoencoder(vae), original_autoencoder_keys(vae)),
        ("autoencoder", "diffusers", "", lambda: Autoencoder(vae), AUTOENCODER_KEYS),
        ("autoencoder", "taesd", "", lambda: TinyAutoencoder(tiny), tiny_autoencoder_keys(tiny)),
        ("tiny_encoder", "taesd", "", lambda: TinyAutoencoder(tiny).encoder, tiny_encoder_keys(tiny)),
        ("tiny_decoder", "taesd", "", lambda: TinyAutoencoder(tiny).decoder, tiny_decoder_keys(tiny)),
        ("text_encoder", "transformers", "", lambda: TextEncoder(sd1.text_encoder), TEXT_ENCODER_KEYS),
        ("text_encoder", "open_clip", "", lambda: TextEncoder(text), open_clip_text_keys(text, 23)),
        ("text_encoder", "diffusers", "", lambda: BertEncoder(large.text_encoder), BERT_KEYS),
        ("image_encoder", "transformers", "", lambda: ImageEmbedder(unclip.image_encoder), IMAGE_EMBEDDER_KEYS),
    ]  # fmt: skip


@pytest.mark.parametrize("place", range(11))
def test_parts_alone_are_recognised_in_every_layout(place: int) -> None:
    kind, layout, prefix, build, table = _single_parts()[place]
    with torch.device("meta"):
        network = build()
    contents = recognise(foreign_tensors(network, table))
    (found,) = contents.found
    assert (found.kind, found.layout, found.prefix, found.fault) == (kind, layout, prefix, "")
    assert found.config == network.config
    assert contents.unknown == contents.unused == ()


@pytest.mark.parametrize("row", ARCHITECTURES, ids=lambda row: row.name)
def test_unets_and_autoencoders_in_the_diffusers_layout(row: PublishedModel) -> None:
    unet, autoencoder = meta_parts(row).unet, meta_parts(row).autoencoder
    assert alike(recognise(foreign_tensors(unet, unet_keys(row.unet))).part("unet").config, row.unet)
    found = recognise(foreign_tensors(autoencoder, AUTOENCODER_KEYS)).part("autoencoder")
    assert alike(found.config, row.autoencoder)


@pytest.mark.parametrize(
    ("names", "kind", "layout"),
    [
        (["lora_unet_down_blocks_0.lora_down.weight", "lora_unet_down_blocks_0.alpha"], "lora", "kohya"),
        (["unet.down_blocks.0.attn1.to_q.lora_A.weight"], "lora", "diffusers"),
        (["base_model.model.down_blocks.0.to_q.lora_B.weight"], "lora", "peft"),
        (["emb_params"], "embedding", "webui"),
        (["string_to_param.*"], "embedding", "webui"),
        (["<cat-toy>"], "embedding", "diffusers"),
        (["cat", "dog"], "embedding", "diffusers"),
        (["control_model.input_hint_block.0.weight", "control_model.zero_convs.0.0.weight"], "controlnet", "original"),
        (["controlnet_cond_embedding.conv_in.weight", "down_blocks.0.a"], "controlnet", "diffusers"),
    ],
)
def test_adapters_are_told_by_their_names(names: list[str], kind: str, layout: str) -> None:
    contents = recognise({name: torch.zeros(2, 768) for name in names})
    (found,) = contents.found
    assert (found.kind, found.layout, found.names) == (kind, layout, tuple(names))
    assert contents.unknown == ()


def test_leftovers_are_known_and_strangers_are_not() -> None:
    leftovers = [
        "model_ema.decay", "betas", "sqrt_alphas_cumprod", "posterior_variance", "logvar", "scale_factor",
        "first_stage_model.loss.discriminator.main.0.weight", "depth_model.model.pretrained.cls_token",
        "embedder.model.ln_final.weight", "low_scale_model.betas", "safety_checker.concept_embeds",
    ]  # fmt: skip
    strangers = ["first_stage_models.encoder", "something.else"]
    contents = recognise({name: torch.zeros(1) for name in (*leftovers, *strangers)})
    assert sorted(contents.unused) == sorted(leftovers)
    assert sorted(contents.unknown) == sorted(strangers)


def test_a_part_with_impossible_shapes_has_a_fault_and_no_configuration() -> None:
    with torch.device("meta"):
        tensors = foreign_tensors(UNet(published("sd-1.4").unet), original_unet_keys(published("sd-1.4").unet))
    without = {name: tensor for name, tensor in tensors.items() if name != "input_blocks.0.0.weight"}
    (found,) = recognise(without).found
    assert found.config is None
    assert "'input_blocks.0.0.weight' is missing" in found.fault
    flat = {**tensors, "out.2.weight": torch.empty(3, device="meta")}
    assert "'out.2.weight' is 3" in recognise(flat).found[0].fault


def test_the_autoencoder_that_a_file_holds_twice_counts_once() -> None:
    row = published("ldm-inpainting")
    tensors = meta_tensors(row)
    start = "first_stage_model."
    again = {
        name.replace(start, "cond_stage_model."): tensor for name, tensor in tensors.items() if name.startswith(start)
    }
    contents = recognise(tensors | again)
    assert contents.models == (row,)
    assert contents.part("autoencoder").prefix == start
    assert again.keys() <= set(contents.unused)


def test_a_controlnet_beside_a_model_is_another_part() -> None:
    names = ("control_model.input_hint_block.0.weight", "control_model.zero_convs.0.0.weight")
    contents = recognise(meta_tensors(published("sd-1.4")) | {name: torch.zeros(1) for name in names})
    assert [part.kind for part in contents.found] == ["unet", "autoencoder", "text_encoder", "controlnet"]
    assert contents.part("controlnet").names == names


def test_other_families_are_named() -> None:
    assert recognise({"conditioner.embedders.0.x": torch.zeros(1)}).foreign == "Stable Diffusion XL"
    assert recognise({"double_blocks.0.img_attn.x": torch.zeros(1)}).foreign == "Flux"


def test_half_a_million_names_do_not_take_long() -> None:
    one = torch.zeros(())
    tensors: dict[str, Tensor] = {
        f"model.diffusion_model.input_blocks.{n}.0.strange.weight": one for n in range(250_000)
    }
    tensors |= {f"a.b.c.{n}": one for n in range(250_000)}
    start = time.perf_counter()
    contents = recognise(tensors)
    assert time.perf_counter() - start < 20
    assert len(contents.unknown) == 500_000
