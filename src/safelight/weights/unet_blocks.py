"""What the configurations of diffusers' two UNets say in the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from safelight.configs import Attention, Modulation, Resampling, UNetConfig
from safelight.errors import BadInput
from safelight.weights.fields import MOST, Fields

SAMPLE_SIZE = 64  # of Stable Diffusion, at 512 pixels

ONLY: dict[str, tuple[Any, ...]] = {
    "center_input_sample": (False,),
    "downsample_padding": (1,),
    "mid_block_scale_factor": (1,),
    "act_fn": ("silu", "swish"),
    "time_embedding_type": ("positional",),
    "time_embedding_dim": (None,),
}

MODULATIONS: dict[str, Modulation] = {"default": "shift", "scale_shift": "scale_and_shift"}

Word = TypeVar("Word", str, str | None)

# What a level has: its attention, and how it is halved and doubled. And the names of such a level, down and up.
Level = tuple[Attention, Resampling]
Names = tuple[str, str]


def read_shared(fields: Fields, *, in_channels: int, channels: tuple[int, ...]) -> dict[str, Any]:
    """The arguments of UNetConfig that both layouts give alike; their defaults differ in the two given here."""
    fields.only(ONLY)
    widths = fields.integers("block_out_channels", channels)
    return {
        "in_channels": fields.integer("in_channels", in_channels),
        "out_channels": fields.integer("out_channels", in_channels),
        "channels": widths,
        "blocks_per_level": fields.same_integer("layers_per_block", 2, count=len(widths), most=MOST),
        "classes": 0 if fields.values.get("num_class_embeds") is None else fields.integer("num_class_embeds", 1),
        "modulation": fields.choice("resnet_time_scale_shift", "default", MODULATIONS),
        "groups": fields.integer("norm_num_groups", 32),
        "norm_epsilon": fields.number("norm_eps", 1e-5),
        "sample_size": _read_size(fields),
        "sine_first": fields.choice("flip_sin_to_cos", True, {True: False, False: True}),
        "frequency_shift": fields.number("freq_shift", 0),
    }


def write_shared(config: UNetConfig) -> dict[str, Any]:
    """The fields that both layouts have."""
    shift = config.frequency_shift
    return {
        "act_fn": "silu",
        "block_out_channels": list(config.channels),
        "center_input_sample": False,
        "downsample_padding": 1,
        "flip_sin_to_cos": not config.sine_first,
        "freq_shift": int(shift) if shift.is_integer() else shift,
        "in_channels": config.in_channels,
        "layers_per_block": config.blocks_per_level,
        "mid_block_scale_factor": 1,
        "norm_eps": config.norm_epsilon,
        "norm_num_groups": config.groups,
        "num_class_embeds": config.classes or None,
        "out_channels": config.out_channels,
        "resnet_time_scale_shift": named(MODULATIONS, config.modulation),
        "sample_size": config.sample_size,
    }


def read_block_types(
    fields: Fields, down: tuple[str, ...], up: tuple[str, ...], names: Mapping[Level, Names]
) -> tuple[tuple[Attention, ...], Resampling]:
    """The attention of each level, and how all are resized; `down` and `up` are the layout's defaults.

    The up path must mirror the down path.
    """
    ways_down = fields.choices("down_block_types", down, {way_down: level for level, (way_down, _) in names.items()})
    ways_up = fields.choices("up_block_types", up, {way_up: level for level, (_, way_up) in names.items()})
    attention = tuple(kind for kind, _ in ways_down)
    if tuple(kind for kind, _ in ways_up) != attention[::-1]:
        raise fields.wrong("up_block_types", "it must mirror down_block_types")
    # The last of either path is not resized any more.
    resized = {resampling for _, resampling in (*ways_down[:-1], *ways_up[:-1])} or {"conv"}
    if len(resized) > 1:
        raise fields.wrong("down_block_types", "all levels must be halved and doubled in one way, as up_block_types")
    return attention, resized.pop()


def write_block_types(config: UNetConfig, names: Mapping[Level, Names]) -> tuple[list[str], list[str]]:
    """The names of the down path's blocks and of the up path's; raises BadInput for a level that has none."""
    levels = [names.get((kind, config.resampling)) for kind in config.attention]
    named_levels = [level for level in levels if level is not None]
    if len(named_levels) < len(levels):
        raise BadInput(
            f"UNetConfig.attention is {config.attention} with resampling {config.resampling!r}; diffusers' blocks of "
            f"this UNet are {', '.join(f'{kind!r} with {resampling!r}' for kind, resampling in names)}."
        )
    return [down for down, _ in named_levels], [up for _, up in named_levels[::-1]]


def named(table: Mapping[Word, str], value: str) -> Word:
    """The other layout's word for one of ours."""
    return next(theirs for theirs, ours in table.items() if ours == value)


def _read_size(fields: Fields) -> int:
    """`sample_size`, the side of the latents that a UNet was trained on: the shorter of two, 64 where none is given."""
    value = fields.values.get("sample_size")
    if value is None:
        return SAMPLE_SIZE
    return min(fields.integers("sample_size", SAMPLE_SIZE, count=2 if isinstance(value, list) else 1))
