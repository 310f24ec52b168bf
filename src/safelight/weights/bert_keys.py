"""The names of diffusers' LDMBertModel."""

from __future__ import annotations

from safelight.weights.key_table import KeyTable, under

BERT_KEYS = KeyTable(
    rows=(
        ("token_embedding", "model.embed_tokens"),
        ("position_embedding", "model.embed_positions"),
        *under(
            "layers.#",
            "model.layers.#",
            (
                ("norm1", "self_attn_layer_norm"),
                ("attention.query", "self_attn.q_proj"),
                ("attention.key", "self_attn.k_proj"),
                ("attention.value", "self_attn.v_proj"),
                ("attention.out", "self_attn.out_proj"),
                ("norm2", "final_layer_norm"),
                ("perceptron.up", "fc1"),
                ("perceptron.down", "fc2"),
            ),
        ),
        ("final_norm", "model.layer_norm"),
        ("logits", "to_logits"),
    )
)
