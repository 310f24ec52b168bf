"""ControlNets from and to single files, which have no config.json: its place is taken by what was published.

Of a file with a whole model in it, as the first ControlNets were published, only the ControlNet is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from safelight.adapters.control_config import ControlConfig
from safelight.adapters.control_folder import load_controlnet
from safelight.adapters.control_keys import diffusers_control_keys, original_control_keys
from safelight.adapters.controlnet import ControlNet
from safelight.adapters.refused import refuse_other_kinds
from safelight.catalog import CATALOG
from safelight.configs import UNetConfig
from safelight.errors import BadCheckpoint
from safelight.weights.files import write_tensors
from safelight.weights.formats import read_file
from safelight.weights.key_table import KeyTable
from safelight.weights.strict import foreign_tensors, load_strictly

PREFIX = "control_model."
FIRST_READING = "transformer_blocks.0.attn2.to_k.weight"


@dataclass(frozen=True)
class Layout:
    """How one layout names things: all of them, its first attention, and the hint encoder's k-th widening."""

    keys: Callable[[ControlConfig], KeyTable]
    attention: str
    widening: str


LAYOUTS: dict[str, Layout] = {  # by the tensor that tells it, the first of the hint encoder
    "input_hint_block.0.weight": Layout(original_control_keys, "input_blocks.1.1", "input_hint_block.{0}"),
    "controlnet_cond_embedding.conv_in.weight": Layout(
        diffusers_control_keys, "down_blocks.0.attentions.0", "controlnet_cond_embedding.blocks.{1}"
    ),
}


def open_controlnet(path: Path | str, unet: UNetConfig | None = None, dtype: torch.dtype | None = None) -> ControlNet:
    """A ControlNet: a folder that diffusers wrote, or a file in its layout or in the original one.

    unet: of the UNet that a file is for; by default the published one that reads text of the same width. dtype: None
    keeps the file's. Raises BadCheckpoint, which lists every tensor that is missing, extra or misshapen, and names
    adapters of other kinds.
    """
    path = Path(path)
    if path.is_dir():
        return load_controlnet(path, dtype)
    tensors = read_file(path).tensors
    refuse_other_kinds(path, tensors)
    for prefix in (PREFIX, ""):
        own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        for first, layout in LAYOUTS.items():
            if first in own:
                config = _config(path, own, own[first], layout, unet)
                return load_strictly("ControlNet", partial(ControlNet, config), layout.keys(config), path, own, dtype)
    raise BadCheckpoint(f"{str(path)!r} is no ControlNet: it holds none of {', '.join(LAYOUTS)}.")


def save_control_file(path: Path | str, network: ControlNet) -> None:
    """Write a ControlNet as one safetensors file in the original layout; raises BadInput where the disk refuses."""
    tensors = foreign_tensors(network, original_control_keys(network.config))
    write_tensors(Path(path), {PREFIX + name: tensor for name, tensor in tensors.items()})


def _config(
    path: Path, tensors: Mapping[str, Tensor], first: Tensor, layout: Layout, unet: UNetConfig | None
) -> ControlConfig:
    """The shape of a ControlNet; the hint encoder's is told from its tensors."""
    widths = [first.shape[0]]
    # Its convolutions are numbered 0, 1, 2, ... after the first, or 0, 2, 4, ... with it; every second one widens.
    while (wider := tensors.get(layout.widening.format(4 * len(widths), 2 * len(widths) - 1) + ".weight")) is not None:
        widths.append(wider.shape[0])
    return ControlConfig(
        unet=unet or _published_unet(path, tensors, layout),
        hint_channels=first.shape[1],
        hint_widths=tuple(widths),
    )


def _published_unet(path: Path, tensors: Mapping[str, Tensor], layout: Layout) -> UNetConfig:
    """The published text-to-image UNet that reads vectors as wide as this ControlNet does."""
    key = tensors.get(f"{layout.attention}.{FIRST_READING}")
    width = 0 if key is None else key.shape[-1]
    published = {row.unet.context_width: row.unet for row in reversed(CATALOG) if row.task == "text"}
    if width not in published:
        raise BadCheckpoint(
            f"{str(path)!r} is a ControlNet for a UNet that reads text {width} wide; without a config.json beside the "
            f"file only these widths are known: {', '.join(map(str, sorted(published)))}."
        )
    return published[width]
