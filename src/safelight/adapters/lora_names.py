"""How LoRA files call the layers of a model, as tables: our names and theirs, in either direction.

Three styles: kohya's (dots become underscores; of UNets in the diffusers layout or in the original one), diffusers'
(with `unet.` or `text_encoder.` before the layer, or in older files nothing) and PEFT's (`base_model.model.`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from safelight.adapters.lora import Part, Place
from safelight.configs import UNetConfig
from safelight.weights.clip_keys import TEXT_ENCODER_KEYS
from safelight.weights.key_table import KeyTable, Rows
from safelight.weights.original import original_unet_keys
from safelight.weights.unet_keys import unet_keys

Role = Literal["down", "up", "middle", "alpha"]

ENDINGS: tuple[tuple[str, Role], ...] = (
    (r"\.lora_(?:down|A)(?:\.\w+)?\.weight", "down"),  # PEFT may put the adapter's own name in between
    (r"\.lora_(?:up|B)(?:\.\w+)?\.weight", "up"),
    (r"[._]lora(?:_linear_layer)?\.down\.weight", "down"),
    (r"[._]lora(?:_linear_layer)?\.up\.weight", "up"),
    (r"\.lora_mid\.weight", "middle"),
    (r"\.alpha", "alpha"),
)

PREFIXES: tuple[tuple[str, tuple[Part, ...]], ...] = (
    ("lora_unet_", ("unet",)),
    ("lora_te_", ("text_encoder",)),
    ("base_model.model.unet.", ("unet",)),
    ("base_model.model.text_encoder.", ("text_encoder",)),
    ("base_model.model.", ("unet", "text_encoder")),
    ("unet.", ("unet",)),
    ("text_encoder.", ("text_encoder",)),
    ("", ("unet", "text_encoder")),
)

# Layers as diffusers called them before version 0.22.
OLDER: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\.processor\."), "."),
    (re.compile(r"self_attn\.to_([qkv])$"), r"self_attn.\1_proj"),
    (re.compile(r"self_attn\.to_out$"), "self_attn.out_proj"),
    (re.compile(r"\.to_out$"), ".to_out.0"),
)


@dataclass(frozen=True)
class LayerNames:
    """The names of the layers of a model with this UNet and CLIP's text encoder."""

    unet: UNetConfig

    def ours(self, layer: str, among: tuple[Part, ...]) -> Place | None:
        """A layer's name in a file, without the ending -> the part, one of `among`, and our name, or None."""
        prefix, parts = next((prefix, parts) for prefix, parts in PREFIXES if layer.startswith(prefix))
        inner = layer.removeprefix(prefix)
        for pattern, current in OLDER:
            inner = pattern.sub(current, inner)
        for part in (part for part in parts if part in among):
            for table in (_underscored if prefix.startswith("lora_") else _dotted)(part, self.unet):
                if (name := table.ours(inner)) is not None:
                    return part, name
        return None

    def theirs(self, part: Part, name: str) -> str:
        """Our name -> diffusers' or transformers' name; raises KeyError for a layer that they do not have."""
        return _dotted(part, self.unet)[0].theirs(name)


def split(name: str) -> tuple[str, Role] | None:
    """A tensor's name -> the layer's name in the file and what the tensor is to it, or None for no tensor of a LoRA."""
    for ending, role in ENDINGS:
        if (match := re.fullmatch(rf"(.+?){ending}", name)) is not None:
            return match[1], role
    return None


@cache
def _dotted(part: Part, unet: UNetConfig) -> tuple[KeyTable, ...]:
    return (unet_keys(unet) if part == "unet" else TEXT_ENCODER_KEYS,)


@cache
def _underscored(part: Part, unet: UNetConfig) -> tuple[KeyTable, ...]:
    tables = (*_dotted(part, unet), *((original_unet_keys(unet),) if part == "unet" else ()))
    return tuple(KeyTable(rows=_flat(table.rows), older=_flat(table.older)) for table in tables)


def _flat(rows: Rows) -> Rows:
    return tuple((ours, theirs.replace(".", "_")) for ours, theirs in rows)
