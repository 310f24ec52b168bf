"""A small UNet and text encoder as diffusers and transformers make them, and ours with the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel
from weights.references import scrambled

from safelight.text import TextEncoder, Tokenizer
from safelight.unet import UNet
from safelight.weights import load_text_encoder, load_unet

WIDTH = 24


@dataclass
class Reference:
    """The other libraries' networks, and where they lie."""

    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    folder: Path


@dataclass
class Model:
    """What adapters attach to."""

    unet: UNet
    text_encoder: TextEncoder | None
    tokenizer: Tokenizer


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("reference")
    tokenizer = Tokenizer.train(["a red fox under a full moon, a cat on a table"] * 3, size=600, length=77)
    tokenizer.save(folder / "tokenizer")
    highest = len(tokenizer.vocabulary) - 1
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=highest + 1,
            hidden_size=WIDTH,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=2,
            bos_token_id=highest - 1,
            eos_token_id=highest,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=2,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
    )
    scrambled(unet).requires_grad_(False).save_pretrained(folder / "unet")
    scrambled(text).requires_grad_(False).save_pretrained(folder / "text_encoder")
    return Reference(unet, text, folder)


@pytest.fixture
def model(reference: Reference) -> Model:
    folder = reference.folder
    networks = load_unet(folder / "unet").eval(), load_text_encoder(folder / "text_encoder").eval()
    return Model(*networks, Tokenizer.load(folder / "tokenizer"))
