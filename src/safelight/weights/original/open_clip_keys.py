"""The names of OpenCLIP's encoders, which OpenAI's own CLIP shares: fused projections and transposed matrices.

Source: src/open_clip/model.py and transformer.py of mlfoundations/open_clip.
"""

from __future__ import annotations

from functools import cache

from safelight.configs import TextEncoderConfig
from safelight.weights.key_table import KeyTable, Packed, Rows, packed_under, under
from safelight.weights.packing import PLAIN, Packing

LAYER: Rows = (
    ("norm1", "ln_1"),
    ("attention.out", "attn.out_proj"),
    ("norm2", "ln_2"),
    ("perceptron.up", "mlp.c_fc"),
    ("perceptron.down", "mlp.c_proj"),
)
FUSED = ("attention.query", "attention.key", "attention.value")
FUSED_LAYER: tuple[Packed, ...] = (
    Packed(tuple(f"{name}.weight" for name in FUSED), "attn.in_proj_weight", PLAIN),
    Packed(tuple(f"{name}.bias" for name in FUSED), "attn.in_proj_bias", PLAIN),
)
# Of the whole of CLIP, not of a text encoder that gives hidden states.
LEFT_OUT = ("text_projection", "logit_scale", "logit_bias", "attn_mask")

IMAGE_KEYS = KeyTable(
    rows=(
        ("image.patch_embedding", "conv1"),
        ("image.class_embedding", "class_embedding"),
        ("image.position_embedding.weight", "positional_embedding"),
        ("image.norm_in", "ln_pre"),
        *under("image.layers.#", "transformer.resblocks.#", LAYER),
        ("image.norm_out", "ln_post"),
    ),
    packed=(
        *packed_under("image.layers.#", "transformer.resblocks.#", FUSED_LAYER),
        Packed(("projection.weight",), "proj", Packing(transposed=True)),
    ),
)


# unCLIP's mean and spread of the vectors that the image encoder gives.
STATISTICS_KEYS = KeyTable(rows=(("mean", "data_mean"), ("deviation", "data_std")))


@cache
def open_clip_text_keys(config: TextEncoderConfig, layers: int) -> KeyTable:
    """The table of a text encoder whose file has `layers` layers.

    SD 2 reads the hidden states before the last of them: a network of fewer layers leaves the rest of the file unused.
    """
    unused = tuple(
        f"transformer.resblocks.{layer}.{name}"
        for layer in range(config.layers, layers)
        for name in (*(theirs for _, theirs in LAYER), *(row.theirs for row in FUSED_LAYER))
    )
    return KeyTable(
        rows=(
            ("token_embedding", "token_embedding"),
            ("position_embedding.weight", "positional_embedding"),
            *under("layers.#", "transformer.resblocks.#", LAYER),
            ("final_norm", "ln_final"),
        ),
        packed=packed_under("layers.#", "transformer.resblocks.#", FUSED_LAYER),
        ignored=(*LEFT_OUT, *unused),
    )
