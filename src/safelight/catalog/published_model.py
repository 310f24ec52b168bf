"""What is known of a model that others published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from safelight.configs import (
    AutoencoderConfig,
    BertConfig,
    ClassEmbedderConfig,
    ImageEncoderConfig,
    RescalerConfig,
    ScheduleConfig,
    TaskName,
    TextEncoderConfig,
    UNetConfig,
)

Vocabulary = Literal["none", "clip", "bert"]
AnyTextConfig: TypeAlias = TextEncoderConfig | BertConfig


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """One model.

    size: side in pixels of the pictures it was trained on (x4 upscalers: of those they draw). hub: the id under which
    its diffusers folder is published, empty where there is none. where: the address of its own checkpoint. source: the
    published file that the shapes come from. The counts are of parameters, of the part alone; 0 where there is no such
    part. vocabulary, pad: of its tokenizer. noise_schedule: of the noise on what it is shown.
    """

    name: str
    what: str
    task: TaskName
    size: int
    licence: str
    hub: str = ""
    where: str = ""
    source: str
    unet: UNetConfig
    unet_parameters: int
    schedule: ScheduleConfig
    autoencoder: AutoencoderConfig
    autoencoder_parameters: int
    text_encoder: AnyTextConfig | None = None
    text_encoder_parameters: int = 0
    vocabulary: Vocabulary = "none"
    pad: str = ""
    class_embedder: ClassEmbedderConfig | None = None
    rescaler: RescalerConfig | None = None
    image_encoder: ImageEncoderConfig | None = None
    image_encoder_parameters: int = 0
    noise_schedule: ScheduleConfig | None = None

    @property
    def parameters(self) -> int:
        """Of all parts together."""
        shown = self.class_embedder.classes * self.class_embedder.width if self.class_embedder else 0
        shown += self.rescaler.in_channels * self.rescaler.out_channels if self.rescaler else 0
        networks = self.unet_parameters + self.text_encoder_parameters + self.autoencoder_parameters
        return networks + self.image_encoder_parameters + shown
