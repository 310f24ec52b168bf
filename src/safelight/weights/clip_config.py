"""Both of CLIP's configurations to and from the config.json of transformers.

Where a field is absent, transformers' own default counts: ViT-B/32.
"""

from __future__ import annotations

from typing import Any

from safelight.configs import Activation, ImageEncoderConfig, TextEncoderConfig
from safelight.weights.fields import MOST, Fields

ACTIVATIONS: dict[str, Activation] = {"quick_gelu": "quick_gelu", "gelu": "gelu"}
TEXT_TYPES = {"clip_text_model": "", "clip": ""}
IMAGE_TYPES = {"clip_vision_model": "", "clip": ""}


def read_text_config(fields: Fields) -> TextEncoderConfig:
    """The text transformer that a CLIPTextModel's config.json describes."""
    fields.choice("model_type", "clip_text_model", TEXT_TYPES)
    return fields.build(
        TextEncoderConfig,
        vocabulary=fields.integer("vocab_size", 49408),
        length=fields.integer("max_position_embeddings", 77),
        **_transformer(fields, width=512, heads=8),
    )


def read_image_config(fields: Fields) -> ImageEncoderConfig:
    """The image transformer that a CLIPVisionModel's config.json describes."""
    fields.choice("model_type", "clip_vision_model", IMAGE_TYPES)
    fields.only({"num_channels": (3,)})
    return fields.build(
        ImageEncoderConfig,
        size=fields.integer("image_size", 224, most=10_000),
        patch=fields.integer("patch_size", 32),
        **_transformer(fields, width=768, heads=12),
    )


def read_clip_config(fields: Fields) -> tuple[TextEncoderConfig, ImageEncoderConfig]:
    """Both encoders of a CLIPModel's config.json, which gives the width of their joint space once, for both."""
    fields.choice("model_type", "clip", {"clip": ""})
    joint = {"projection_dim": fields.integer("projection_dim", 512)}
    text, image = (
        # Files of early versions hold a second set under an older name, which then counts.
        Fields(part.source, {**part.values, **fields.inner(f"{name}_dict").values, **joint})
        for name in ("text_config", "vision_config")
        for part in (fields.inner(name),)
    )
    return read_text_config(text), read_image_config(image)


def _transformer(fields: Fields, *, width: int, heads: int) -> dict[str, Any]:
    return {
        "width": fields.integer("hidden_size", width),
        "hidden_width": fields.integer("intermediate_size", 4 * width),
        "layers": fields.integer("num_hidden_layers", 12, most=MOST),
        "heads": fields.integer("num_attention_heads", heads),
        "activation": fields.choice("hidden_act", "quick_gelu", ACTIVATIONS),
        "norm_epsilon": fields.number("layer_norm_eps", 1e-5),
        "projection_width": fields.integer("projection_dim", 512),
    }


def write_text_config(config: TextEncoderConfig) -> dict[str, Any]:
    """The config.json of a CLIPTextModel. Start and end are the last two tokens of every CLIP vocabulary."""
    return {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.length,
        "bos_token_id": config.vocabulary - 2,
        "eos_token_id": config.vocabulary - 1,
        "pad_token_id": 1,
        **_written(config),
    }


def write_image_config(config: ImageEncoderConfig) -> dict[str, Any]:
    """The config.json of a CLIPVisionModel."""
    return {
        "architectures": ["CLIPVisionModel"],
        "model_type": "clip_vision_model",
        "image_size": config.size,
        "patch_size": config.patch,
        "num_channels": 3,
        **_written(config),
    }


def write_text_embedder_config(config: TextEncoderConfig) -> dict[str, Any]:
    """The config.json of a CLIPTextModelWithProjection."""
    return {**write_text_config(config), "architectures": ["CLIPTextModelWithProjection"]}


def write_image_embedder_config(config: ImageEncoderConfig) -> dict[str, Any]:
    """The config.json of a CLIPVisionModelWithProjection."""
    return {**write_image_config(config), "architectures": ["CLIPVisionModelWithProjection"]}


def write_clip_config(text: TextEncoderConfig, image: ImageEncoderConfig) -> dict[str, Any]:
    """The config.json of a CLIPModel."""
    inner = {"text_config": write_text_config(text), "vision_config": write_image_config(image)}
    for part in inner.values():
        del part["architectures"]
    return {"architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": text.projection_width, **inner}


def _written(config: TextEncoderConfig | ImageEncoderConfig) -> dict[str, Any]:
    return {
        "hidden_size": config.width,
        "intermediate_size": config.hidden_width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "hidden_act": config.activation,
        "layer_norm_eps": config.norm_epsilon,
        "projection_dim": config.projection_width,
    }
