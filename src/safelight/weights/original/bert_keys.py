"""The names of the text transformer in the latent-diffusion paper's own checkpoints, inside `cond_stage_model`.

Attention and perceptron take turns in one row of layers, each with its norm: layer n of ours is 2n and 2n + 1 of
theirs (x-transformers' TransformerWrapper, in ldm/modules/x_transformer.py of CompVis/latent-diffusion).
"""

from __future__ import annotations

from safelight.configs import BertConfig
from safelight.weights.key_table import KeyTable, Rows, under

PREFIX = "transformer"

ATTENTION: Rows = (
    ("norm1", "0"),
    ("attention.query", "1.to_q"),
    ("attention.key", "1.to_k"),
    ("attention.value", "1.to_v"),
    ("attention.out", "1.to_out"),
)
PERCEPTRON: Rows = (
    ("norm2", "0"),
    ("perceptron.up", "1.net.0.0"),
    ("perceptron.down", "1.net.2"),
)


def original_bert_keys(config: BertConfig) -> KeyTable:
    """Our names and theirs, for a transformer of `config.layers` layers."""
    theirs = f"{PREFIX}.attn_layers.layers"
    layers = [
        row
        for n in range(config.layers)
        for row in (
            *under(f"layers.{n}", f"{theirs}.{2 * n}", ATTENTION),
            *under(f"layers.{n}", f"{theirs}.{2 * n + 1}", PERCEPTRON),
        )
    ]
    return KeyTable(
        rows=(
            ("token_embedding", f"{PREFIX}.token_emb"),
            ("position_embedding", f"{PREFIX}.pos_emb.emb"),
            *layers,
            ("final_norm", f"{PREFIX}.norm"),
            ("logits", f"{PREFIX}.to_logits"),
        )
    )
