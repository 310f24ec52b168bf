"""A tiny StableDiffusionPipeline, as diffusers itself writes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from safelight.text import Tokenizer
from safelight.weights import Parts, open_folder
from weights.references import scrambled


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionPipeline:
    tokenizer = Tokenizer.train(["a red fox under a full moon"] * 3, size=600, length=16)
    tokenizer.save(folder := tmp_path_factory.mktemp("tokenizer"))
    highest = len(tokenizer.vocabulary) - 1
    text = CLIPTextConfig(
        vocab_size=highest + 1,
        max_position_embeddings=16,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=highest - 1,
        eos_token_id=highest,
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=24,
        attention_head_dim=2,
    )
    autoencoder = AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
    )
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    return StableDiffusionPipeline(
        vae=scrambled(autoencoder),
        text_encoder=scrambled(CLIPTextModel(text)),
        tokenizer=CLIPTokenizer.from_pretrained(folder),
        unet=scrambled(unet),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@pytest.fixture(scope="session")
def theirs(pipeline: StableDiffusionPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder; not to be changed."""
    pipeline.save_pretrained(folder := tmp_path_factory.mktemp("pipeline") / "theirs")
    return folder


@pytest.fixture
def folder(theirs: Path, tmp_path: Path) -> Path:
    """A copy of its folder, to spoil."""
    shutil.copytree(theirs, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="session")
def parts(theirs: Path) -> Parts:
    return open_folder(theirs)
