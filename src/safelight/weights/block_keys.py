"""What diffusers calls the inside of the blocks that its UNets and autoencoders share."""

from __future__ import annotations

from safelight.weights.key_table import Rows

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

# Before diffusers 0.12.
OLDER_SELF_ATTENTION: Rows = (
    ("attention.query", "query"),
    ("attention.key", "key"),
    ("attention.value", "value"),
    ("attention.out", "proj_attn"),
)
