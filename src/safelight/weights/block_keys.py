"""What diffusers calls the inside of the blocks that its UNets and autoencoders share."""

from __future__ import annotations

from safelight.weights.key_table import Rows, under

RESIDUAL: Rows = (
    ("norm1", "norm1"),
    ("conv1", "conv1"),
    ("embedding", "time_emb_proj"),
    ("norm2", "norm2"),
    ("conv2", "conv2"),
    ("shortcut", "conv_shortcut"),
)

SELF_ATTENTION: Rows = (
    ("norm", "group_norm"),
    ("attention.query", "to_q"),
    ("attention.key", "to_k"),
    ("attention.value", "to_v"),
    ("attention.out", "to_out.0"),
)

# Beside the noise level of a UNet; files of the original layout, whose code has none, take the same names.
CONTEXT_POOLING: Rows = under(
    "context_pooling",
    "add_embedding",
    (
        ("norm_in", "norm1"),
        ("place", "pool.positional_embedding"),
        ("query", "pool.q_proj"),
        ("key", "pool.k_proj"),
        ("value", "pool.v_proj"),
        ("out", "proj"),
        ("norm_out", "norm2"),
    ),
)

# Before diffusers 0.12.
OLDER_SELF_ATTENTION: Rows = (
    ("attention.query", "query"),
    ("attention.key", "key"),
    ("attention.value", "value"),
    ("attention.out", "proj_attn"),
)
