"""LoRAs onto a model: beside its layers, to come and go quickly, or merged into its weights, to cost nothing later."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from safelight.adapters.attachment import Attachment, SwappedWeight
from safelight.adapters.lora import Layer, LoRA, Part, Update, listed, weight_shape
from safelight.errors import BadCheckpoint, BadInput

Weighted = tuple[LoRA, float]  # the second is how strongly it works; 1 is as it was trained
Entry = tuple[Update, float]


class Adaptable(Protocol):
    """What LoRAs attach to: `weights.Parts`, a pipeline, or whatever else has these two."""

    @property
    def unet(self) -> nn.Module: ...
    @property
    def text_encoder(self) -> nn.Module | None: ...


def attach_lora(parts: Adaptable, loras: Sequence[Weighted]) -> Attachment:
    """Run LoRAs beside the layers that they update; the weights themselves are never touched.

    Attachments come off in any order. Raises BadCheckpoint that lists every key of a LoRA that does not fit, BadInput
    for a weight that is no number; then nothing is attached.
    """
    hooks = [
        layer.register_forward_hook(_beside(_placed(update, layer), weight))
        for layer, update, weight in _matched(parts, loras)
    ]
    return Attachment(*(hook.remove for hook in hooks))


def merge_lora(parts: Adaptable, loras: Sequence[Weighted]) -> Attachment:
    """Add LoRAs to the weights, which are kept and come back, bit for bit, when the last one is detached.

    Merged weights cost nothing at each step, and memory for the layers that they replace. Attachments come off in any
    order. Raises as `attach_lora` does.
    """
    mine: dict[Layer, list[Entry]] = {}
    for layer, update, weight in _matched(parts, loras):
        mine.setdefault(layer, []).append((update, weight))
    for layer, updates in mine.items():
        merged = MERGED.setdefault(layer, Merged(layer))
        merged.set(layer, [*merged.updates, *updates])
    return Attachment(lambda: _unmerge(mine))


def _matched(parts: Adaptable, loras: Sequence[Weighted]) -> list[tuple[Layer, Update, float]]:
    """Every update with its layer; raises BadCheckpoint for what has none."""
    networks: dict[Part, nn.Module | None] = {"unet": parts.unet, "text_encoder": parts.text_encoder}
    matched: list[tuple[Layer, Update, float]] = []
    for lora, weight in loras:
        if not math.isfinite(weight):
            raise BadInput(f"{lora.name} has the weight {weight}; it must be a finite number (1 is as it was trained).")
        missing, misshapen = [], []
        for part, updates in lora.updates.items():
            network = networks[part]
            layers = {} if network is None else dict(network.named_modules())
            for name, update in updates.items():
                layer, key = layers.get(name), lora.keys.get((part, name), f"{part}.{name}")
                if not isinstance(layer, nn.Linear | nn.Conv2d):
                    missing.append(key)
                elif (shape := weight_shape(layer)) != update.shape:
                    misshapen.append(f"{key} is for {_shown(update.shape)}, the model's is {_shown(shape)}")
                else:
                    matched.append((layer, update, float(weight)))
        if missing or misshapen:
            raise BadCheckpoint(_complaint(lora.name, {"not in this model": missing, "misshapen": misshapen}))
    return matched


def _placed(update: Update, layer: Layer) -> Update:
    """The update on the layer's device, in its precision."""
    down, up = (tensor.to(layer.weight.device, layer.weight.dtype) for tensor in (update.down, update.up))
    middle = None if update.middle is None else update.middle.to(layer.weight.device, layer.weight.dtype)
    return Update(down=down, up=up, alpha=update.alpha, middle=middle)


def _beside(update: Update, weight: float) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        return output + weight * update.through(layer, inputs[0])

    return hook


class Merged:
    """The updates that a layer's weight holds, and the weight without them."""

    def __init__(self, layer: Layer) -> None:
        self.swapped = SwappedWeight(layer)
        self.updates: list[Entry] = []

    def set(self, layer: Layer, updates: list[Entry]) -> None:
        """Have these updates in the weight: summed in float32, rounded once."""
        self.swapped.check(layer)
        original = self.swapped.original()
        with torch.no_grad():
            changed = original.float()
            for update, weight in updates:
                changed = changed + weight * update.delta().to(changed.device).reshape(changed.shape)
            self.swapped.swap(layer, torch.empty_like(original).copy_(changed))
        self.updates = updates


MERGED: WeakKeyDictionary[Layer, Merged] = WeakKeyDictionary()  # of every model that lives


def _unmerge(mine: Mapping[Layer, Sequence[Entry]]) -> None:
    for layer in mine:
        MERGED[layer].swapped.check(layer)
    for layer, updates in mine.items():
        merged = MERGED[layer]
        left = [entry for entry in merged.updates if not any(entry is one for one in updates)]
        if left:
            merged.set(layer, left)
        else:
            merged.swapped.restore(layer)
            del MERGED[layer]


def _complaint(name: str, faults: dict[str, list[str]]) -> str:
    kinds = [f"{len(keys)} {kind}: {listed(keys)}." for kind, keys in faults.items() if keys]
    return " ".join([f"{name} does not fit this model.", *kinds])


def _shown(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
