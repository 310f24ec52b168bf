"""LoRAs onto a model: beside its layers, to come and go quickly, or merged into its weights, to cost nothing later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from safelight.adapters.attachment import Attachment, SwappedWeight
from safelight.adapters.lora import Layer, LoRA, Part, Update, weight_shape
from safelight.errors import BadCheckpoint, BadInput

LISTED = 40  # names of each kind of fault that a message spells out
Weighted = tuple[LoRA, float]  # the second is how strongly it works; 1 is as it was trained


class Adaptable(Protocol):
    """What LoRAs attach to: `weights.Parts`, a pipeline, or whatever else has these two."""

    @property
    def unet(self) -> nn.Module: ...
    @property
    def text_encoder(self) -> nn.Module | None: ...


def attach_lora(parts: Adaptable, loras: Sequence[Weighted]) -> Attachment:
    """Run LoRAs beside the layers that they update; the weights themselves are never touched.

    Attachments come off in any order. Raises BadCheckpoint that lists every key of a LoRA that does not fit, and then
    nothing is attached.
    """
    hooks = [
        layer.register_forward_hook(_beside(_placed(update, layer), weight))
        for layer, update, weight in _matched(parts, loras)
    ]
    return Attachment(*(hook.remove for hook in hooks))


def merge_lora(parts: Adaptable, loras: Sequence[Weighted]) -> Attachment:
    """Add LoRAs to the weights, which are kept and come back, bit for bit, when they are detached.

    Merged weights cost nothing at each step, and memory for the layers that they replace. What was merged last comes
    off first; otherwise detaching raises BadInput. Raises BadCheckpoint as `attach_lora` does.
    """
    changes: dict[Layer, list[tuple[Update, float]]] = {}
    for layer, update, weight in _matched(parts, loras):
        changes.setdefault(layer, []).append((update, weight))
    merges = [SwappedWeight(layer, _merged(layer, updates)) for layer, updates in changes.items()]
    return Attachment(lambda: _restore(merges))


def _matched(parts: Adaptable, loras: Sequence[Weighted]) -> list[tuple[Layer, Update, float]]:
    """Every update with its layer; raises BadCheckpoint for what has none."""
    networks: dict[Part, nn.Module | None] = {"unet": parts.unet, "text_encoder": parts.text_encoder}
    matched: list[tuple[Layer, Update, float]] = []
    for lora, weight in loras:
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


def _merged(layer: Layer, updates: Sequence[tuple[Update, float]]) -> Tensor:
    """The layer's weight with the updates in it, summed in float32 and rounded once."""
    with torch.no_grad():
        changed = layer.weight.float()
        for update, weight in updates:
            changed = changed + weight * update.delta().to(changed.device).reshape(changed.shape)
        return torch.empty_like(layer.weight).copy_(changed)


def _restore(merges: Sequence[SwappedWeight]) -> None:
    if not all(merge.is_on_top for merge in merges):
        raise BadInput("A LoRA was merged over this one; detach that first.")
    for merge in merges:
        merge.restore()


def _complaint(name: str, faults: dict[str, list[str]]) -> str:
    parts = [f"{name} does not fit this model."]
    for kind, keys in faults.items():
        if keys:
            rest = f", and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
            parts.append(f"{len(keys)} {kind}: {'; '.join(sorted(keys)[:LISTED])}{rest}.")
    return " ".join(parts)


def _shown(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
