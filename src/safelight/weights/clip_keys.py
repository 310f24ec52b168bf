"""The names of transformers' CLIPTextModel, CLIPVisionModel (both also with projection) and CLIPModel.

transformers 5 leaves out the first step (`text_model.`, `vision_model.`) where an encoder stands alone; all published
weights have it and every version reads it, so that is the form written.
"""

from __future__ import annotations

from safelight.weights.key_table import KeyTable, Rows, under

LAYER: Rows = (
    ("norm1", "layer_norm1"),
    ("attention.query", "self_attn.q_proj"),
    ("attention.key", "self_attn.k_proj"),
    ("attention.value", "self_attn.v_proj"),
    ("attention.out", "self_attn.out_proj"),
    ("norm2", "layer_norm2"),
    ("perceptron.up", "mlp.fc1"),
    ("perceptron.down", "mlp.fc2"),
)

TEXT: Rows = (
    ("token_embedding", "embeddings.token_embedding"),
    ("position_embedding", "embeddings.position_embedding"),
    *under("layers.#", "encoder.layers.#", LAYER),
    ("final_norm", "final_layer_norm"),
)

IMAGE: Rows = (
    ("patch_embedding", "embeddings.patch_embedding"),
    ("class_embedding", "embeddings.class_embedding"),
    ("position_embedding", "embeddings.position_embedding"),
    ("norm_in", "pre_layrnorm"),  # so spelt there
    *under("layers.#", "encoder.layers.#", LAYER),
    ("norm_out", "post_layernorm"),
)

# Older versions saved the numbers 0, 1, 2, ... beside the weights.
TEXT_POSITIONS = ("text_model.embeddings.position_ids", "embeddings.position_ids")
IMAGE_POSITIONS = ("vision_model.embeddings.position_ids", "embeddings.position_ids")


def _inside(module: str, rows: Rows) -> Rows:
    return tuple((ours, f"{module}.{theirs}") for ours, theirs in rows)


# An encoder saved "with projection" holds one matrix that its hidden states do not need.
TEXT_ENCODER_KEYS = KeyTable(rows=_inside("text_model", TEXT), older=TEXT, ignored=(*TEXT_POSITIONS, "text_projection"))

IMAGE_ENCODER_KEYS = KeyTable(
    rows=_inside("vision_model", IMAGE), older=IMAGE, ignored=(*IMAGE_POSITIONS, "visual_projection")
)

TEXT_EMBEDDER_KEYS = KeyTable(
    rows=(*under("text", "text_model", TEXT), ("projection", "text_projection")),
    ignored=TEXT_POSITIONS,
)

IMAGE_EMBEDDER_KEYS = KeyTable(
    rows=(*under("image", "vision_model", IMAGE), ("projection", "visual_projection")),
    ignored=IMAGE_POSITIONS,
)

CLIP_KEYS = KeyTable(
    rows=(
        *under("text", "text_model", TEXT),
        *under("image", "vision_model", IMAGE),
        ("text_projection", "text_projection"),
        ("image_projection", "visual_projection"),
        ("log_scale", "logit_scale"),
    ),
    ignored=(TEXT_POSITIONS[0], IMAGE_POSITIONS[0]),
)
