"""Every network that a file may hold, in every layout: how it is told from the rest, and how it is opened.

A network is told by one tensor, its landmark: what stands before the landmark in the tensor's name is the prefix under
which the network lies in the file, whatever that is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from safelight.autoencoder import Autoencoder, TinyAutoencoder, TinyDecoder, TinyEncoder
from safelight.conditioning import ClassEmbedder, EmbeddingStatistics, Rescaler
from safelight.text import BertEncoder, ImageEmbedder, TextEncoder
from safelight.unet import UNet
from safelight.weights.autoencoder_keys import AUTOENCODER_KEYS
from safelight.weights.bert_keys import BERT_KEYS
from safelight.weights.clip_keys import IMAGE_EMBEDDER_KEYS, TEXT_ENCODER_KEYS
from safelight.weights.conditioners import CLASS_EMBEDDER_KEYS, RESCALER_KEYS
from safelight.weights.key_table import KeyTable
from safelight.weights.original import (
    IMAGE_KEYS,
    STATISTICS_KEYS,
    open_clip_text_keys,
    original_autoencoder_keys,
    original_bert_keys,
    original_unet_keys,
)
from safelight.weights.recognition import autoencoder_shapes, encoder_shapes, unet_shapes
from safelight.weights.recognition.shapes import Shapes
from safelight.weights.tiny_autoencoder_config import tiny_decoder_config, tiny_encoder_config
from safelight.weights.tiny_autoencoder_keys import tiny_autoencoder_keys, tiny_decoder_keys, tiny_encoder_keys
from safelight.weights.unet_keys import unet_keys

# The slots of Parts, and what stands for one of them or changes one.
Kind = Literal[
    "unet",
    "autoencoder",
    "text_encoder",
    "class_embedder",
    "rescaler",
    "image_encoder",
    "embedding_statistics",
    "tiny_encoder",
    "tiny_decoder",
    "controlnet",
    "lora",
    "embedding",
]
Layout = Literal["original", "diffusers", "transformers", "open_clip", "taesd", "kohya", "peft", "webui"]


@dataclass(frozen=True, kw_only=True)
class Form:
    """One network in one layout.

    landmark: the tensor that tells it. inner: how much of the landmark is prefix. alone: whether it only lies in files
    of its own, without a prefix. roots: how the names of its tensors
    begin after the prefix. infer: its configuration from the shapes. keys: its table of names. build: our network.
    """

    kind: Kind
    layout: Layout
    landmark: str
    inner: str = ""
    alone: bool = False
    roots: frozenset[str]
    infer: Callable[[Shapes], Any]
    keys: Callable[[Any, Shapes], KeyTable]
    build: Callable[[Any], nn.Module]


def _open_clip_keys(config: Any, shapes: Shapes) -> KeyTable:
    return open_clip_text_keys(config, encoder_shapes.open_clip_layers(shapes))


def _roots(names: str) -> frozenset[str]:
    return frozenset(names.split())


_TEXT_INSIDE = _roots("embeddings encoder final_layer_norm text_projection")
_VAE_ENDS = _roots("encoder decoder quant_conv post_quant_conv quantize")

FORMS: tuple[Form, ...] = (
    Form(
        kind="unet",
        layout="original",
        landmark="output_blocks.0.0.in_layers.0.weight",
        roots=_roots("input_blocks middle_block output_blocks time_embed label_emb add_embedding out"),
        infer=unet_shapes.original_unet_config,
        keys=lambda config, _: original_unet_keys(config),
        build=UNet,
    ),
    Form(
        kind="unet",
        layout="diffusers",
        landmark="up_blocks.0.resnets.0.norm1.weight",
        roots=_roots(
            "conv_in conv_out conv_norm_out time_embedding class_embedding add_embedding "
            "down_blocks mid_block up_blocks"
        ),
        infer=unet_shapes.diffusers_unet_config,
        keys=lambda config, _: unet_keys(config),
        build=UNet,
    ),
    Form(
        kind="autoencoder",
        layout="original",
        landmark="decoder.mid.block_1.norm1.weight",
        roots=_VAE_ENDS,
        infer=autoencoder_shapes.original_autoencoder_config,
        keys=lambda config, _: original_autoencoder_keys(config),
        build=Autoencoder,
    ),
    Form(
        kind="autoencoder",
        layout="diffusers",
        landmark="decoder.up_blocks.0.resnets.0.norm1.weight",
        roots=_VAE_ENDS,
        infer=autoencoder_shapes.diffusers_autoencoder_config,
        keys=lambda *_: AUTOENCODER_KEYS,
        build=Autoencoder,
    ),
    Form(
        kind="autoencoder",
        layout="taesd",
        landmark="decoder.layers.0.weight",
        roots=_roots("encoder decoder"),
        infer=autoencoder_shapes.tiny_autoencoder_config,
        keys=lambda config, _: tiny_autoencoder_keys(config),
        build=TinyAutoencoder,
    ),
    Form(
        kind="tiny_encoder",
        layout="taesd",
        landmark="1.conv.0.weight",
        alone=True,
        roots=frozenset(map(str, range(100))),
        infer=lambda shapes: tiny_encoder_config(Path(shapes.part), shapes.tensors),
        keys=lambda config, _: tiny_encoder_keys(config),
        build=TinyEncoder,
    ),
    Form(
        kind="tiny_decoder",
        layout="taesd",
        landmark="1.weight",  # what comes before it has none
        alone=True,
        roots=frozenset(map(str, range(100))),
        infer=lambda shapes: tiny_decoder_config(Path(shapes.part), shapes.tensors),
        keys=lambda config, _: tiny_decoder_keys(config),
        build=TinyDecoder,
    ),
    Form(
        kind="text_encoder",
        layout="transformers",
        landmark="text_model.embeddings.token_embedding.weight",
        roots=_roots("text_model text_projection"),
        infer=encoder_shapes.transformers_text_config,
        keys=lambda *_: TEXT_ENCODER_KEYS,
        build=TextEncoder,
    ),
    Form(
        kind="text_encoder",
        layout="transformers",
        landmark="embeddings.token_embedding.weight",
        roots=_TEXT_INSIDE,
        infer=encoder_shapes.transformers_text_config,
        keys=lambda *_: TEXT_ENCODER_KEYS,
        build=TextEncoder,
    ),
    Form(
        kind="text_encoder",
        layout="open_clip",
        landmark="transformer.resblocks.0.ln_1.weight",
        roots=_roots(
            "token_embedding positional_embedding transformer ln_final text_projection logit_scale logit_bias attn_mask"
        ),
        infer=encoder_shapes.open_clip_text_config,
        keys=_open_clip_keys,
        build=TextEncoder,
    ),
    Form(
        kind="text_encoder",
        layout="original",
        landmark="transformer.token_emb.weight",
        roots=_roots("transformer"),
        infer=encoder_shapes.original_bert_config,
        keys=lambda config, _: original_bert_keys(config),
        build=BertEncoder,
    ),
    Form(
        kind="text_encoder",
        layout="diffusers",
        landmark="model.layers.0.self_attn_layer_norm.weight",
        roots=_roots("model to_logits"),
        infer=encoder_shapes.diffusers_bert_config,
        keys=lambda *_: BERT_KEYS,
        build=BertEncoder,
    ),
    Form(
        kind="image_encoder",
        layout="open_clip",
        landmark="visual.transformer.resblocks.0.ln_1.weight",
        inner="visual.",
        roots=_roots("conv1 class_embedding positional_embedding ln_pre transformer ln_post proj"),
        infer=encoder_shapes.open_clip_image_config,
        keys=lambda *_: IMAGE_KEYS,
        build=ImageEmbedder,
    ),
    Form(
        kind="image_encoder",
        layout="transformers",
        landmark="vision_model.embeddings.class_embedding",
        roots=_roots("vision_model visual_projection"),
        infer=encoder_shapes.transformers_image_config,
        keys=lambda *_: IMAGE_EMBEDDER_KEYS,
        build=ImageEmbedder,
    ),
    Form(
        kind="class_embedder",
        layout="original",
        landmark="cond_stage_model.embedding.weight",
        inner="cond_stage_model.",
        roots=_roots("embedding"),
        infer=encoder_shapes.class_embedder_config,
        keys=lambda *_: CLASS_EMBEDDER_KEYS,
        build=ClassEmbedder,
    ),
    Form(
        kind="rescaler",
        layout="original",
        landmark="channel_mapper.weight",
        roots=_roots("channel_mapper"),
        infer=encoder_shapes.rescaler_config,
        keys=lambda *_: RESCALER_KEYS,
        build=Rescaler,
    ),
    Form(
        kind="embedding_statistics",
        layout="original",
        landmark="data_mean",
        roots=_roots("data_mean data_std"),
        infer=encoder_shapes.statistics_width,
        keys=lambda *_: STATISTICS_KEYS,
        build=EmbeddingStatistics,
    ),
)
