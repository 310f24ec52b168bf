"""The parts of a model, and the kind of model that they make together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from safelight.configs import ScheduleConfig, TaskName
from safelight.errors import BadInput
from safelight.unet import UNet

if TYPE_CHECKING:
    from safelight.autoencoder import Autoencoder, Pixels, TinyAutoencoder, WithTinyDecoder
    from safelight.conditioning import ClassEmbedder, EmbeddingStatistics, Rescaler
    from safelight.text import BertEncoder, BertTokenizer, ImageEmbedder, TextEncoder, Tokenizer

AnyAutoencoder: TypeAlias = Union["Autoencoder", "TinyAutoencoder", "WithTinyDecoder", "Pixels"]
AnyTextEncoder: TypeAlias = Union["TextEncoder", "BertEncoder"]
AnyTokenizer: TypeAlias = Union["Tokenizer", "BertTokenizer"]


@dataclass(kw_only=True)
class Parts:
    """All that a pipeline needs.

    unet, schedule, autoencoder: every model's; one that works on pixels has `Pixels()` for an autoencoder.
    tokenizer, text_encoder: of models that read text; the layout model has the encoder alone. class_embedder, rescaler,
    image_encoder: of those that are shown a class, a map of labels, a picture's meaning. embedding_statistics,
    noise_schedule: unCLIP's noise on that meaning; the upscaler has the schedule alone, for its small picture.
    sampler: of a UNet that was distilled to few steps, the one that it draws with; None: any. few_steps: the file of a
    LoRA with which it draws in few steps; None where there is none beside the model. tiny_decoder: the file of a tiny
    decoder that then decodes; likewise. usual: the arguments of a call that suit this model best, where its caller says
    nothing else.
    """

    unet: UNet
    schedule: ScheduleConfig
    autoencoder: AnyAutoencoder
    tokenizer: AnyTokenizer | None = None
    text_encoder: AnyTextEncoder | None = None
    class_embedder: ClassEmbedder | None = None
    rescaler: Rescaler | None = None
    image_encoder: ImageEmbedder | None = None
    embedding_statistics: EmbeddingStatistics | None = None
    noise_schedule: ScheduleConfig | None = None
    sampler: str | None = None
    few_steps: Path | None = None
    tiny_decoder: Path | None = None
    usual: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reader(self) -> tuple[AnyTokenizer, AnyTextEncoder]:
        """Tokenizer and text encoder; raises BadInput for a model that reads no text."""
        if self.tokenizer is None or self.text_encoder is None:
            raise BadInput("This model reads no text: it has no tokenizer with a text encoder.")
        return self.tokenizer, self.text_encoder

    @property
    def task(self) -> TaskName:
        """What the model draws from, told from its parts alone; raises BadInput where they make no known model.

        The UNet's extra channels say what is joined to the latent: a mask and a masked picture are one more than a
        latent, a picture as many as one, a depth map is 1, the upscaler's small picture 3.
        """
        unet, latent = self.unet.config, self.autoencoder.config.latent_channels
        extra = unet.in_channels - latent
        if self.rescaler is not None:
            return "semantic"
        if unet.class_vector:
            return "variation"
        if unet.classes and extra == 3:
            return "upscaling"
        if extra == latent + 1:
            return "inpainting" if self.text_encoder is not None else "filling"
        if extra == latent:
            return "instruction" if self.text_encoder is not None else "restoration"
        if extra == 1:
            return "depth"
        if extra:
            raise BadInput(
                f"The UNet takes {unet.in_channels} channels for latents of {latent}; known are {latent} alone, with 1 "
                f"(depth), {latent} (a picture) or {latent + 1} (a masked picture and its mask) more."
            )
        if self.class_embedder is not None or unet.classes:
            return "class"
        if self.text_encoder is None:
            return "unconditional"
        return "text" if self.tokenizer is not None else "layout"
