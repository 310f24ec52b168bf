"""BertConfig to and from the config.json of diffusers' LDMBertModel."""

from __future__ import annotations

from typing import Any

from safelight.configs import BertConfig
from safelight.text.bert import EXPANSION
from safelight.weights.fields import MOST, Fields

CLASS, TYPE = "LDMBertModel", "ldmbert"
ONLY: dict[str, tuple[Any, ...]] = {"activation_function": ("gelu",), "scale_embedding": (False,)}


def read_bert_config(fields: Fields) -> BertConfig:
    """The configuration that a config.json describes; raises BadCheckpoint for what we do not have."""
    fields.choice("model_type", TYPE, {TYPE: ""})
    fields.only(ONLY)
    width = fields.integer("d_model", 1280)
    if fields.integer("encoder_ffn_dim", 5120) != EXPANSION * width:
        raise fields.wrong("encoder_ffn_dim", f"it must be {EXPANSION} times d_model, {EXPANSION * width}")
    return fields.build(
        BertConfig,
        vocabulary=fields.integer("vocab_size", 30522),
        length=fields.integer("max_position_embeddings", 77),
        width=width,
        layers=fields.integer("encoder_layers", 32, most=MOST),
        heads=fields.integer("encoder_attention_heads", 8),
        head_width=fields.integer("head_dim", 64),
    )


def write_bert_config(config: BertConfig) -> dict[str, Any]:
    """The config.json that diffusers reads."""
    return {
        "architectures": [CLASS],
        "model_type": TYPE,
        "activation_function": "gelu",
        "d_model": config.width,
        "encoder_attention_heads": config.heads,
        "encoder_ffn_dim": EXPANSION * config.width,
        "encoder_layers": config.layers,
        "head_dim": config.head_width,
        "max_position_embeddings": config.length,
        "pad_token_id": 0,
        "scale_embedding": False,
        "vocab_size": config.vocabulary,
    }
