"""A UNet's configuration from the shapes of its tensors, in the original layout or in that of diffusers.

Heads, groups and the order of the sinusoids leave no trace in shapes. The heads follow the habit of the publishers:
8 where the transformers have convolutions around them (SD 1), 64 wide where they have linear layers (SD 2), 32 wide in
UNets without text (Rombach et al. 2022, tables 12 to 15); 64 wide where the text is pooled, as in DeepFloyd IF.
`matching.py` then looks whether a published model is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from safelight.configs import Attention, Modulation, Projection, Resampling, UNetConfig
from safelight.errors import BadCheckpoint
from safelight.weights.recognition.shapes import Shapes, likely_groups

HEADS_1 = 8
WIDTH_2, WIDTH_PLAIN, WIDTH_POOLING = 64, 32, 64


@dataclass(frozen=True, kw_only=True)
class Naming:
    """Where a layout keeps what tells a UNet's shape; blocks and levels of the way down."""

    levels: int
    blocks: int
    residual: Callable[[int, int], str]
    attention: Callable[[int, int], str]
    halving: Callable[[int], str]
    middle_attention: str
    conv_in: str
    conv_out: str
    second_conv: str
    embedding: str
    query: str
    residual_halving: str
    classes: str
    class_vector: str
    guidance: str
    pooling: str = "add_embedding.pool.q_proj.weight"


def original_unet_config(shapes: Shapes) -> UNetConfig:
    """Of UNetModel; the first doubling on the way up tells how many blocks a level has."""
    places = shapes.count("output_blocks.#.0.in_layers.0.weight")
    doublings = ("1.conv.weight", "2.conv.weight", "1.in_layers.0.weight", "2.in_layers.0.weight")
    every = next(
        (n + 1 for n in range(places) if any(f"output_blocks.{n}.{name}" in shapes for name in doublings)), places
    )
    if every < 2 or places % every:
        raise BadCheckpoint(
            f"{shapes.part}: {places} output_blocks with a doubling after {every}; "
            "a UNet has as many on every level, and at least 2."
        )
    naming = Naming(
        levels=places // every,
        blocks=every - 1,
        residual=lambda level, block: f"input_blocks.{1 + level * every + block}.0",
        attention=lambda level, block: f"input_blocks.{1 + level * every + block}.1",
        halving=lambda level: f"input_blocks.{(level + 1) * every}.0",
        middle_attention="middle_block.1",
        conv_in="input_blocks.0.0.weight",
        conv_out="out.2.weight",
        second_conv="out_layers.3.weight",
        embedding="emb_layers.1.weight",
        query="qkv.weight",
        residual_halving="in_layers.0.weight",
        classes="label_emb.weight",
        class_vector="label_emb.0.0.weight",
        guidance="time_embed.cond_proj.weight",
    )
    return _config(shapes, naming)


def diffusers_unet_config(shapes: Shapes) -> UNetConfig:
    """Of UNet2DConditionModel and UNet2DModel."""
    naming = Naming(
        levels=shapes.count("down_blocks.#.resnets.0.norm1.weight"),
        blocks=shapes.count("down_blocks.0.resnets.#.norm1.weight"),
        residual=lambda level, block: f"down_blocks.{level}.resnets.{block}",
        attention=lambda level, block: f"down_blocks.{level}.attentions.{block}",
        halving=lambda level: f"down_blocks.{level}.downsamplers.0",
        middle_attention="mid_block.attentions.0",
        conv_in="conv_in.weight",
        conv_out="conv_out.weight",
        second_conv="conv2.weight",
        embedding="time_emb_proj.weight",
        query="group_norm.weight",
        residual_halving="norm1.weight",
        classes="class_embedding.weight",
        class_vector="class_embedding.linear_1.weight",
        guidance="time_embedding.cond_proj.weight",
    )
    return _config(shapes, naming)


def _config(shapes: Shapes, naming: Naming) -> UNetConfig:
    conv_in, conv_out = shapes.of(naming.conv_in, 4), shapes.of(naming.conv_out, 4)
    levels = range(naming.levels)
    channels = tuple(shapes.of(f"{naming.residual(level, 0)}.{naming.second_conv}", 4)[0] for level in levels)
    if not channels:
        raise BadCheckpoint(f"{shapes.part}: no level of residual blocks was found.")
    attention = tuple(_attention(shapes, naming.attention(level, 0), naming.query) for level in levels)
    middle = _attention(shapes, naming.middle_attention, naming.query)
    places = [naming.attention(level, 0) for level in levels if attention[level] in ("cross", "only_cross")]
    places += [naming.middle_attention] if middle in ("cross", "only_cross") else []
    projection: Projection = "linear" if places and _is_matrix(shapes, f"{places[0]}.proj_in.weight") else "conv"
    embedding = shapes.of(f"{naming.residual(0, 0)}.{naming.embedding}", 2)[0]
    modulation: Modulation = "scale_and_shift" if embedding == 2 * channels[0] else "shift"
    residual = f"{naming.halving(0)}.{naming.residual_halving}" in shapes
    resampling: Resampling = "residual" if naming.levels > 1 and residual else "conv"
    return UNetConfig(
        in_channels=conv_in[1],
        out_channels=conv_out[0],
        channels=channels,
        blocks_per_level=naming.blocks,
        attention=attention,
        middle_attention=middle,
        heads=likely_heads(channels, bool(places), projection),
        transformer_depth=max(1, shapes.count(f"{places[0]}.transformer_blocks.#.norm1.weight")) if places else 1,
        context_width=_context_width(shapes, places[0]) if places else UNetConfig.context_width,
        projection=projection,
        classes=shapes.of(naming.classes, 2)[0] if naming.classes in shapes else 0,
        class_vector=shapes.of(naming.class_vector, 2)[1] if naming.class_vector in shapes else 0,
        guidance_width=shapes.of(naming.guidance, 2)[1] if naming.guidance in shapes else 0,
        pooling_heads=max(1, shapes.of(naming.pooling, 2)[0] // WIDTH_POOLING) if naming.pooling in shapes else 0,
        modulation=modulation,
        resampling=resampling,
        groups=likely_groups((*channels, conv_in[0])),
    )


def likely_heads(channels: tuple[int, ...], transformers: bool, projection: Projection) -> tuple[int, ...]:
    """The heads of each level by the habit of the publishers; 1 where that does not divide a level's width."""
    if transformers and projection == "conv":
        return tuple(HEADS_1 if width % HEADS_1 == 0 else 1 for width in channels)
    one = WIDTH_2 if transformers else WIDTH_PLAIN
    return tuple(width // one if width % one == 0 else 1 for width in channels)


def _attention(shapes: Shapes, place: str, query: str) -> Attention:
    own = f"{place}.transformer_blocks.0.attn1.to_k.weight"
    if own in shapes:
        width, read = shapes.of(own, 2)
        return "cross" if read == width else "only_cross"
    return "self" if f"{place}.{query}" in shapes else "none"


def _context_width(shapes: Shapes, place: str) -> int:
    return shapes.of(f"{place}.transformer_blocks.0.attn2.to_k.weight", 2)[1]


def _is_matrix(shapes: Shapes, name: str) -> bool:
    return name in shapes and shapes.tensors[name].ndim == 2
