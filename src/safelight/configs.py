"""The shape of every network, as frozen dataclasses.

A configuration holds what the weights need to fit; it says nothing of how a network is used. The defaults are
Stable Diffusion 1.x. `catalog/` names the other published models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from safelight.errors import BadInput

Activation = Literal["quick_gelu", "gelu"]
Attention = Literal["none", "self", "cross", "only_cross"]  # the last: a transformer without self-attention
Modulation = Literal["shift", "scale_and_shift"]
Resampling = Literal["conv", "residual"]
Projection = Literal["conv", "linear"]
Prediction = Literal["epsilon", "v", "x0"]
Law = Literal["scaled_linear", "linear", "cosine"]
# What a model draws from.
TaskName = Literal[
    "text",
    "inpainting",
    "filling",
    "depth",
    "instruction",
    "upscaling",
    "variation",
    "unconditional",
    "class",
    "layout",
    "semantic",
    "restoration",
]


def _positive(where: str, **values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise BadInput(f"{where}.{name} is {value}; it must be at least 1.")


def _divides(where: str, divisor_name: str, divisor: int, width: int) -> None:
    if divisor < 1 or width % divisor:
        raise BadInput(f"{where}.{divisor_name} is {divisor}; it must divide {width}.")


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """A CLIP text transformer (Radford et al. 2021, section 2.4). Default: ViT-L/14, the one of SD 1.x."""

    vocabulary: int = 49408  # tokens that it knows; a stage that learns a tokenizer sets it
    length: int = 77  # positions: the longest token sequence
    width: int = 768  # of the hidden states
    hidden_width: int = 3072  # of the two-layer perceptrons
    layers: int = 12  # transformer blocks
    heads: int = 12  # of attention; they share the width
    activation: Activation = "quick_gelu"  # of the perceptrons: OpenAI's quick_gelu, or gelu
    norm_epsilon: float = 1e-5  # of the layer norms
    projection_width: int = 768  # of the joint text-image space

    def __post_init__(self) -> None:
        _positive("TextEncoderConfig", vocabulary=self.vocabulary, length=self.length, layers=self.layers)
        _divides("TextEncoderConfig", "heads", self.heads, self.width)


@dataclass(frozen=True, kw_only=True)
class ImageEncoderConfig:
    """A CLIP vision transformer. Default: ViT-L/14 at 224 pixels."""

    size: int = 224  # pixels on each side
    patch: int = 14  # pixels on each side of the squares that become tokens
    width: int = 1024  # of the hidden states
    hidden_width: int = 4096  # of the two-layer perceptrons
    layers: int = 24  # transformer blocks
    heads: int = 16  # of attention; they share the width
    activation: Activation = "quick_gelu"  # of the perceptrons: OpenAI's quick_gelu, or gelu
    norm_epsilon: float = 1e-5  # of the layer norms
    projection_width: int = 768  # of the joint text-image space

    def __post_init__(self) -> None:
        _positive("ImageEncoderConfig", size=self.size, layers=self.layers)
        _divides("ImageEncoderConfig", "patch", self.patch, self.size)
        _divides("ImageEncoderConfig", "heads", self.heads, self.width)


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """A residual network that tells concepts and styles (He et al. 2016): the judge of what a model draws."""

    size: int = 64  # pixels on each side of what it sees
    patch: int = 2  # pixels on each side that become one position of the first level
    channels: tuple[int, ...] = (32, 64, 128, 256)  # one level each; each after the first halves the size
    blocks_per_level: int = 1  # residual blocks
    groups: int = 8  # of channels, which are normalised together

    def __post_init__(self) -> None:
        _positive("ClassifierConfig", size=self.size, blocks_per_level=self.blocks_per_level)
        for width in self.channels:
            _divides("ClassifierConfig", "groups", self.groups, width)
        if self.patch < 2 or self.patch % 2:
            raise BadInput(f"ClassifierConfig.patch is {self.patch}; it must be an even number from 2.")
        most = (self.size // self.patch).bit_length()
        if not 1 <= len(self.channels) <= most:
            raise BadInput(
                f"ClassifierConfig.channels has {len(self.channels)} levels; it must have at least one, and at most "
                f"{most}: size, {self.size}, over patch, {self.patch}, halves no more often."
            )


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """The text transformer of the latent-diffusion paper (Rombach et al. 2022, section 4.3.1). Default: text2img-large.

    It has no vocabulary of its own: it reads the token ids of BERT's tokenizer, or of labelled boxes.
    """

    vocabulary: int = 30522  # of boxes: labels, and as many places on a square grid
    length: int = 77  # the most tokens; a box is three, and two more say what part of the picture is drawn
    width: int = 1280  # of the vectors that the UNet reads
    layers: int = 32  # transformer blocks
    heads: int = 8  # of attention
    head_width: int = 64  # of each, whatever the width

    def __post_init__(self) -> None:
        _positive("BertConfig", vocabulary=self.vocabulary, length=self.length, width=self.width, layers=self.layers)
        _positive("BertConfig", heads=self.heads, head_width=self.head_width)


@dataclass(frozen=True, kw_only=True)
class ClassEmbedderConfig:
    """A table of classes, each one vector for cross-attention. Default: ImageNet's thousand, and one for "no class"."""

    classes: int = 1001  # vectors, the last of which stands for no class
    width: int = 512  # of the vectors that the UNet reads

    def __post_init__(self) -> None:
        _positive("ClassEmbedderConfig", classes=self.classes, width=self.width)


@dataclass(frozen=True, kw_only=True)
class RescalerConfig:
    """A picture of labels brought down to the size of a latent (semantic synthesis). Default: COCO-Stuff, f = 4."""

    stages: int = 2  # each halves the size
    in_channels: int = 182  # labels
    out_channels: int = 3  # that are joined to the latent

    def __post_init__(self) -> None:
        _positive("RescalerConfig", stages=self.stages, in_channels=self.in_channels, out_channels=self.out_channels)


@dataclass(frozen=True, kw_only=True)
class TinyAutoencoderConfig:
    """A small stand-in for a KL autoencoder, without attention or normalisation. Default: TAESD, f = 8."""

    image_channels: int = 3
    latent_channels: int = 4
    width: int = 64
    encoder_blocks: tuple[int, ...] = (1, 3, 3, 3)  # one level each; every level but the first halves the size
    decoder_blocks: tuple[int, ...] = (3, 3, 3, 1)
    scale: float = 1.0

    def __post_init__(self) -> None:
        _positive("TinyAutoencoderConfig", latent_channels=self.latent_channels, width=self.width)
        if len(self.encoder_blocks) != len(self.decoder_blocks):
            raise BadInput(
                f"TinyAutoencoderConfig has {len(self.encoder_blocks)} levels in encoder_blocks and "
                f"{len(self.decoder_blocks)} in decoder_blocks; both need the same number."
            )

    @property
    def factor(self) -> int:
        """How many times smaller a latent is than its image, each way."""
        return int(2 ** (len(self.encoder_blocks) - 1))


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """An autoencoder, KL or VQ (Rombach et al. 2022, section 3.1). Default: KL, f = 8 with 4 latent channels."""

    image_channels: int = 3  # of the picture
    latent_channels: int = 4  # of the latent
    channels: tuple[int, ...] = (128, 256, 512, 512)  # one level each; every level but the last halves the size
    blocks_per_level: int = 2  # in the encoder; the decoder has one more
    attention: tuple[bool, ...] = ()  # self-attention after each block of a level; empty means on no level
    middle_attention: bool = True  # self-attention at the coarsest level, between encoder and decoder
    groups: int = 32  # of the group norms
    codes: int = 0  # entries of the codebook of a VQ autoencoder; 0 means KL
    latent_convs: bool = True  # 1x1 convolutions before and after the latent
    scale: float = 0.18215  # brings latents to about unit variance

    def __post_init__(self) -> None:
        _positive("AutoencoderConfig", latent_channels=self.latent_channels, blocks_per_level=self.blocks_per_level)
        if self.attention and len(self.attention) != len(self.channels):
            raise BadInput(
                f"AutoencoderConfig.attention has {len(self.attention)} entries; it needs none, or one for each of the "
                f"{len(self.channels)} levels in channels."
            )
        if self.codes < 0:
            raise BadInput(f"AutoencoderConfig.codes is {self.codes}; it must be 0 (KL) or the size of the codebook.")
        for width in self.channels:
            _divides("AutoencoderConfig", "groups", self.groups, width)

    @property
    def factor(self) -> int:
        """How many times smaller a latent is than its image, each way."""
        return int(2 ** (len(self.channels) - 1))

    @property
    def moments(self) -> int:
        """Channels that the encoder gives: mean and log variance, or of a VQ autoencoder the latent alone."""
        return self.latent_channels if self.codes else 2 * self.latent_channels

    def attends(self, level: int) -> bool:
        """Whether a level, counted from the finest, has self-attention."""
        return bool(self.attention) and self.attention[level]


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """A UNet noise predictor (Ho et al. 2020; Rombach et al. 2022, section 3.3). Default: SD 1.x.

    Tuples hold one entry for each level, from the finest to the coarsest.
    """

    in_channels: int = 4  # of the latent, and of what is joined to it
    out_channels: int = 4  # of the prediction
    channels: tuple[int, ...] = (320, 640, 1280, 1280)  # of each level
    blocks_per_level: int = 2  # in the down path; the up path has one more
    attention: tuple[Attention, ...] = ("cross", "cross", "cross", "none")  # none, self, cross (both), only_cross
    middle_attention: Attention = "cross"  # of the block at the coarsest level
    heads: tuple[int, ...] = (8, 8, 8, 8)  # of attention; they share the width of their level
    transformer_depth: int = 1  # transformer blocks in each attention
    context_width: int = 768  # width of the vectors that cross-attention reads
    projection: Projection = "conv"  # around each transformer: 1x1 convolution (SD 1) or linear layer (SD 2)
    classes: int = 0  # size of the label table; 0 means no class labels
    class_vector: int = 0  # width of a vector that stands for a label (unCLIP's image embedding); 0 means none
    guidance_width: int = 0  # of the waves that say which guidance a distilled UNet imitates (LCM: 256); 0 means none
    pooling_heads: int = 0  # of the attention that pools the context into a vector beside the noise level (IF); 0: none
    modulation: Modulation = "shift"  # what the embedding does in residual blocks
    resampling: Resampling = "conv"  # how levels halve and double: a convolution, or a residual block
    groups: int = 32  # of the group norms
    norm_epsilon: float = 1e-5  # of the group norms
    sample_size: int = 64  # latent positions each way of the pictures it was trained on: what is drawn by default
    sine_first: bool = False  # order of the two halves of the sinusoidal embedding
    frequency_shift: float = 0.0  # of the frequencies of that embedding

    def __post_init__(self) -> None:
        _positive("UNetConfig", in_channels=self.in_channels, out_channels=self.out_channels)
        _positive("UNetConfig", blocks_per_level=self.blocks_per_level, transformer_depth=self.transformer_depth)
        for name, entries in (("attention", self.attention), ("heads", self.heads)):
            if len(entries) != len(self.channels):
                raise BadInput(
                    f"UNetConfig.{name} has {len(entries)} entries; it needs one for each of the "
                    f"{len(self.channels)} levels in channels."
                )
        for width, heads in zip(self.channels, self.heads, strict=True):
            _divides("UNetConfig", "groups", self.groups, width)
            _divides("UNetConfig", "heads", heads, width)
        for name in ("classes", "class_vector"):
            if getattr(self, name) < 0:
                raise BadInput(f"UNetConfig.{name} is {getattr(self, name)}; it must be 0 or more.")
        if self.guidance_width < 0 or self.guidance_width % 2 or self.guidance_width == 2:
            raise BadInput(
                f"UNetConfig.guidance_width is {self.guidance_width}; it must be 0 or an even number from 4."
            )
        if self.pooling_heads:
            _divides("UNetConfig", "pooling_heads", self.pooling_heads, self.context_width)
            if not self.reads_context:
                raise BadInput(
                    f"UNetConfig.pooling_heads is {self.pooling_heads} in a UNet that reads no context; it must be 0."
                )
        if self.classes and self.class_vector:
            raise BadInput(
                f"UNetConfig.classes is {self.classes} and class_vector {self.class_vector}; one of them must be 0."
            )

    @property
    def reads_context(self) -> bool:
        """Whether it has cross-attention, and so needs a context."""
        return bool({"cross", "only_cross"} & {*self.attention, self.middle_attention})


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The noise law of training. Default: Stable Diffusion."""

    levels: int = 1000  # of noise
    law: Law = "scaled_linear"  # how beta rises: linearly, linearly in its square root (scaled_linear), or for a cosine
    beta_start: float = 0.00085  # the share of noise that the first level adds
    beta_end: float = 0.012  # and the last
    prediction: Prediction = "epsilon"  # what the network gives: the noise, the velocity (v) or the picture (x0)
    zero_terminal_snr: bool = False  # whether nothing of the picture is left at the last level (Lin et al. 2023)

    def __post_init__(self) -> None:
        _positive("ScheduleConfig", levels=self.levels)
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise BadInput(
                f"ScheduleConfig.beta_start and beta_end are {self.beta_start} and {self.beta_end}; "
                "they must obey 0 < beta_start <= beta_end < 1."
            )
