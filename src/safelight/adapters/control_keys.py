"""How others call the tensors of a ControlNet: diffusers' ControlNetModel, and the original code of Zhang et al.

The latter is cldm/cldm.py of lllyasviel/ControlNet: a UNet's way down in the original layout, and beside it
`input_hint_block`, a row of convolutions with activations between them, so that each has an even number.
"""

from __future__ import annotations

from safelight.adapters.control_config import ControlConfig
from safelight.weights.key_table import KeyTable, Rows
from safelight.weights.original import original_unet_keys
from safelight.weights.unet_keys import unet_keys

DIFFUSERS: Rows = (
    ("hint.conv_in", "controlnet_cond_embedding.conv_in"),
    ("hint.blocks.#", "controlnet_cond_embedding.blocks.#"),
    ("hint.conv_out", "controlnet_cond_embedding.conv_out"),
    ("zero_convs.#", "controlnet_down_blocks.#"),
    ("zero_middle", "controlnet_mid_block"),
)
ORIGINAL: Rows = (
    ("hint.conv_in", "input_hint_block.0"),
    ("zero_convs.#", "zero_convs.#.0"),
    ("zero_middle", "middle_block_out.0"),
)


def diffusers_control_keys(config: ControlConfig) -> KeyTable:
    """The names in a folder that diffusers wrote."""
    table = unet_keys(config.unet)
    return KeyTable(rows=(*table.rows, *DIFFUSERS), packed=table.packed, older=table.older)


def original_control_keys(config: ControlConfig) -> KeyTable:
    """The names in a file of the original layout, after `control_model.`."""
    table = original_unet_keys(config.unet)
    blocks = 2 * (len(config.hint_widths) - 1)
    hint = tuple((f"hint.blocks.{place}", f"input_hint_block.{2 * place + 2}") for place in range(blocks))
    last = (("hint.conv_out", f"input_hint_block.{2 * blocks + 2}"),)
    return KeyTable(rows=(*table.rows, *ORIGINAL, *hint, *last), packed=table.packed)
