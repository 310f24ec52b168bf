"""The configurations of text and image encoders, and of the small networks beside them, from shapes.

Heads and activation leave no trace in shapes. Heads are 64 wide in all of these but OpenCLIP's ViT-H image encoder,
which a published row names; OpenAI's widths have the quick GELU, OpenCLIP's the plain one.
"""

from __future__ import annotations

import math
from typing import Any

from safelight.configs import (
    Activation,
    BertConfig,
    ClassEmbedderConfig,
    ImageEncoderConfig,
    RescalerConfig,
    TextEncoderConfig,
)
from safelight.errors import BadCheckpoint
from safelight.weights.recognition.shapes import Shapes

HEAD_WIDTH = 64
OPENAI_TEXT_WIDTHS = (512, 768)
OPEN_CLIP_TEXT_WIDTH = 1024
OPENAI_IMAGE_WIDTHS = (768, 1024)


def transformers_text_config(shapes: Shapes) -> TextEncoderConfig:
    """Of transformers' CLIPTextModel, with and without the step `text_model`."""
    inside = "text_model." if "text_model.embeddings.token_embedding.weight" in shapes else ""
    layer = f"{inside}encoder.layers.#"
    vocabulary, width = shapes.of(f"{inside}embeddings.token_embedding.weight", 2)
    projected = "text_projection.weight"
    return TextEncoderConfig(
        vocabulary=vocabulary,
        length=shapes.of(f"{inside}embeddings.position_embedding.weight", 2)[0],
        width=width,
        hidden_width=shapes.of(f"{inside}encoder.layers.0.mlp.fc1.weight", 2)[0],
        layers=shapes.count(f"{layer}.layer_norm1.weight"),
        heads=_heads(width),
        activation=_activation(width, OPENAI_TEXT_WIDTHS),
        projection_width=shapes.of(projected, 2)[0] if projected in shapes else width,
    )


def open_clip_layers(shapes: Shapes) -> int:
    """How many layers a file of an OpenCLIP text encoder holds."""
    return shapes.count("transformer.resblocks.#.ln_1.weight")


def open_clip_text_config(shapes: Shapes) -> TextEncoderConfig:
    """Of OpenCLIP's text encoder, as SD 2 reads it: without the last of its layers.

    A file with the projection that follows the last layer holds them all; one without holds only those that are used.
    """
    vocabulary, width = shapes.of("token_embedding.weight", 2)
    layers, whole = open_clip_layers(shapes), "text_projection" in shapes
    return TextEncoderConfig(
        vocabulary=vocabulary,
        length=shapes.of("positional_embedding", 2)[0],
        width=width,
        hidden_width=shapes.of("transformer.resblocks.0.mlp.c_fc.weight", 2)[0],
        layers=layers - 1 if whole else min(layers, 23) if width == OPEN_CLIP_TEXT_WIDTH else layers,
        heads=_heads(width),
        activation=_activation(width, OPENAI_TEXT_WIDTHS),
        projection_width=shapes.of("text_projection", 2)[1] if whole else width,
    )


def open_clip_image_config(shapes: Shapes) -> ImageEncoderConfig:
    """Of OpenCLIP's and OpenAI's image encoder."""
    width, _, patch, _ = shapes.of("conv1.weight", 4)
    return ImageEncoderConfig(
        size=_side(shapes, shapes.of("positional_embedding", 2)[0]) * patch,
        patch=patch,
        width=width,
        hidden_width=shapes.of("transformer.resblocks.0.mlp.c_fc.weight", 2)[0],
        layers=shapes.count("transformer.resblocks.#.ln_1.weight"),
        heads=_heads(width),
        activation=_activation(width, OPENAI_IMAGE_WIDTHS),
        projection_width=shapes.of("proj", 2)[1],
    )


def transformers_image_config(shapes: Shapes) -> ImageEncoderConfig:
    """Of transformers' CLIPVisionModelWithProjection."""
    width, _, patch, _ = shapes.of("vision_model.embeddings.patch_embedding.weight", 4)
    positions = shapes.of("vision_model.embeddings.position_embedding.weight", 2)[0]
    return ImageEncoderConfig(
        size=_side(shapes, positions) * patch,
        patch=patch,
        width=width,
        hidden_width=shapes.of("vision_model.encoder.layers.0.mlp.fc1.weight", 2)[0],
        layers=shapes.count("vision_model.encoder.layers.#.layer_norm1.weight"),
        heads=_heads(width),
        activation=_activation(width, OPENAI_IMAGE_WIDTHS),
        projection_width=shapes.of("visual_projection.weight", 2)[0],
    )


def original_bert_config(shapes: Shapes) -> BertConfig:
    """Of the paper's text transformer, in which attention and perceptron are layers of their own."""
    queries = "transformer.attn_layers.layers.0.1.to_q.weight"
    tokens, positions = "transformer.token_emb.weight", "transformer.pos_emb.emb.weight"
    layers = shapes.count("transformer.attn_layers.layers.#.0.weight") // 2
    return BertConfig(layers=layers, **_bert(shapes, tokens, positions, queries))


def diffusers_bert_config(shapes: Shapes) -> BertConfig:
    """Of diffusers' LDMBertModel."""
    queries = "model.layers.0.self_attn.q_proj.weight"
    layers = shapes.count("model.layers.#.self_attn_layer_norm.weight")
    return BertConfig(
        layers=layers, **_bert(shapes, "model.embed_tokens.weight", "model.embed_positions.weight", queries)
    )


def class_embedder_config(shapes: Shapes) -> ClassEmbedderConfig:
    """Of the paper's table of classes."""
    classes, width = shapes.of("embedding.weight", 2)
    return ClassEmbedderConfig(classes=classes, width=width)


def rescaler_config(shapes: Shapes) -> RescalerConfig:
    """Of the paper's rescaler; how often it halves is no weight, and taken as published."""
    given, taken, *_ = shapes.of("channel_mapper.weight", 4)
    return RescalerConfig(in_channels=taken, out_channels=given)


def statistics_width(shapes: Shapes) -> int:
    """Of unCLIP's mean and spread of image vectors."""
    return shapes.of("data_mean", 2)[1]


def _bert(shapes: Shapes, tokens: str, positions: str, queries: str) -> dict[str, Any]:
    vocabulary, width = shapes.of(tokens, 2)
    inner = shapes.of(queries, 2)[0]
    head_width = HEAD_WIDTH if inner % HEAD_WIDTH == 0 else inner
    return {
        "vocabulary": vocabulary,
        "length": shapes.of(positions, 2)[0],
        "width": width,
        "heads": inner // head_width,
        "head_width": head_width,
    }


def _heads(width: int) -> int:
    return width // HEAD_WIDTH if width % HEAD_WIDTH == 0 else 1


def _activation(width: int, openai: tuple[int, ...]) -> Activation:
    return "quick_gelu" if width in openai else "gelu"


def _side(shapes: Shapes, positions: int) -> int:
    side = math.isqrt(positions - 1)
    if side < 1 or side * side != positions - 1:
        raise BadCheckpoint(f"{shapes.part}: {positions} positions are no square of patches and one for the class.")
    return side
