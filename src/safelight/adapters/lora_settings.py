"""Ranks and alphas as PEFT writes them: one for a whole network, and exceptions by the names of layers.

diffusers keeps them in the header of its LoRA files, PEFT in adapter_config.json.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from safelight.adapters.lora import Part, Update
from safelight.errors import BadCheckpoint

SETTINGS = "lora_adapter_metadata"  # the field of the header; in it "unet." or "text_encoder." stands before each name
METHODS = ("use_dora", "use_qalora", "use_bdlora", "lora_bias", "fan_in_fan_out")  # of PEFT's, that change the formula
REGULAR_EXPRESSION = frozenset("*+?()[]{}|\\$^")  # PEFT reads names as such; a name of a layer has none of these


@dataclass(frozen=True)
class Alphas:
    """The alpha of every layer of one network. rslora: the scale is alpha / sqrt(r) (Kalajdzievski 2023)."""

    common: float | None = None
    exceptions: Mapping[str, float] = field(default_factory=dict)
    rslora: bool = False

    def of(self, layer: str, rank: int) -> float | None:
        """The alpha of a layer, by the end of its name, such that the scale is alpha / r; None where none is given."""
        alpha = next((a for end, a in self.exceptions.items() if f".{layer}".endswith(f".{end}")), self.common)
        return alpha * math.sqrt(rank) if alpha is not None and self.rslora else alpha


def read_settings(source: str, values: Mapping[str, Any]) -> Alphas:
    """What PEFT's settings say of the alphas; raises BadCheckpoint for a method that is no plain LoRA."""
    for method in METHODS:
        if values.get(method):
            raise BadCheckpoint(f"{source!r}: {method} is {values[method]!r}; supported is LoRA without it.")
    exceptions = values.get("alpha_pattern") or {}
    if not isinstance(exceptions, Mapping):
        raise BadCheckpoint(f"{source!r}: alpha_pattern is {exceptions!r}; it must be an object.")
    if patterns := [name for name in exceptions if set(name.removeprefix("^")) & REGULAR_EXPRESSION]:
        raise BadCheckpoint(
            f"{source!r}: alpha_pattern has the regular expression {patterns[0]!r}; supported are names of layers."
        )
    common = values.get("lora_alpha")
    return Alphas(
        None if common is None else _number(source, "lora_alpha", common),
        {name.removeprefix("^"): _number(source, f"alpha_pattern.{name}", a) for name, a in exceptions.items()},
        bool(values.get("use_rslora")),
    )


def read_header(source: str, header: Mapping[str, str]) -> dict[Part, Alphas]:
    """The settings of both networks in the header of a file that diffusers wrote; without any, no alphas."""
    text = header.get(SETTINGS)
    if text is None:
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadCheckpoint(f"{source!r}: {SETTINGS} cannot be read as JSON: {error}.") from error
    if not isinstance(values, dict):
        raise BadCheckpoint(f"{source!r}: {SETTINGS} holds a JSON {type(values).__name__}; it must hold an object.")
    parts: tuple[Part, ...] = ("unet", "text_encoder")
    return {
        part: read_settings(source, {n.removeprefix(f"{part}."): v for n, v in values.items() if n.startswith(part)})
        for part in parts
    }


def write_settings(updates: Mapping[str, Update]) -> dict[str, Any]:
    """Settings of a network whose layers, by their foreign names, have these updates."""
    ranks = {name: update.rank for name, update in updates.items()}
    alphas = {name: _whole(update.scale * update.rank) for name, update in updates.items()}
    rank, alpha = (Counter(values.values()).most_common(1)[0][0] for values in (ranks, alphas))
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {name: r for name, r in ranks.items() if r != rank},
        "alpha_pattern": {name: a for name, a in alphas.items() if a != alpha},
        "target_modules": sorted(updates),
        "bias": "none",
    }


def _number(source: str, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadCheckpoint(f"{source!r}: {name} is {value!r}; it must be a finite number.")
    return float(value)


def _whole(number: float) -> int | float:
    return int(number) if number.is_integer() else number
