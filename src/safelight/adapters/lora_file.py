"""LoRAs from and to files, in the styles of kohya's scripts, of diffusers and of PEFT."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from safelight.adapters.lora import LoRA, Part, Place, Update, listed
from safelight.adapters.lora_header import put_in_order
from safelight.adapters.lora_names import LayerNames, Role, split
from safelight.adapters.lora_settings import SETTINGS, Alphas, read_header, read_settings, write_settings
from safelight.adapters.refused import refuse_other_kinds
from safelight.configs import UNetConfig
from safelight.errors import BadCheckpoint, BadInput, unknown_name
from safelight.weights.fields import Fields
from safelight.weights.files import beside, write_json, write_tensors
from safelight.weights.formats import read_file
from safelight.weights.whole_folder import whole_folder

DIFFUSERS_FILES = ("pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin")
KOHYA_FILE = "lora.safetensors"  # as our own runs call it; kohya's scripts let their user say
PEFT_FILES = ("adapter_model.safetensors", "adapter_model.bin")
PEFT_SETTINGS = "adapter_config.json"
Named = tuple[str, Tensor]  # a tensor and its name in the file
PARTS: tuple[Part, ...] = ("unet", "text_encoder")
KOHYA_PREFIXES: dict[Part, str] = {"unet": "lora_unet_", "text_encoder": "lora_te_"}
KOHYA_ENDINGS: dict[Role, str] = {"down": ".lora_down.weight", "up": ".lora_up.weight", "middle": ".lora_mid.weight"}


def open_lora(path: Path | str, unet: UNetConfig | None = None) -> LoRA:
    """The LoRA in a file, or in a folder that diffusers or PEFT wrote; the style is told from the names.

    unet: the UNet that it is meant for, by default of Stable Diffusion's make. Raises BadCheckpoint that lists every
    tensor which is no part of a LoRA for such a model, and names adapters of other kinds.
    """
    path, names = Path(path), LayerNames(unet or UNetConfig())
    found = [_read(file, part, names) for file, part in _files(path)]
    return LoRA(
        unet={name: update for lora in found for name, update in lora.unet.items()},
        text_encoder={name: update for lora in found for name, update in lora.text_encoder.items()},
        name=f"The LoRA {str(path)!r}",
        keys={place: key for lora in found for place, key in lora.keys.items()},
        metadata={name: text for lora in found for name, text in lora.metadata.items()},
    )


def save_lora(path: Path | str, lora: LoRA, style: str = "kohya", unet: UNetConfig | None = None) -> None:
    """Write a LoRA in a style: "kohya" and "diffusers" are files, "peft" a folder with a folder for each network.

    unet: as for `open_lora`. Raises BadInput for an unknown style, and for what a style cannot say.
    """
    if style not in STYLES:
        raise unknown_name("style", style, STYLES)
    if not lora.unet and not lora.text_encoder:
        raise BadInput("This LoRA updates no layer; there is nothing to write.")
    try:
        STYLES[style](Path(path), lora, LayerNames(unet or UNetConfig()))
    except KeyError as error:
        raise BadInput(f"The layer {error.args[0]!r} of this LoRA has no name in other programs' files.") from error


def _files(path: Path) -> list[tuple[Path, Part | None]]:
    """The files of a LoRA, each with the network that it is for, where the folder says so."""
    if not path.is_dir():
        return [(path, None)]
    for name in (*DIFFUSERS_FILES, *PEFT_FILES, KOHYA_FILE):
        if (path / name).is_file():
            return [(path / name, None)]
    inner = [(path / part / name, part) for part in PARTS for name in PEFT_FILES if (path / part / name).is_file()]
    if not inner:
        raise BadCheckpoint(
            f"{str(path)!r} holds no LoRA; a folder has {DIFFUSERS_FILES[0]}, {PEFT_FILES[0]}, or the latter in "
            f"folders called {' and '.join(PARTS)}."
        )
    return list({part: (file, part) for file, part in reversed(inner)}.values())  # safetensors before a pickle


def _read(path: Path, part: Part | None, names: LayerNames) -> LoRA:
    """One file; `part` is the network that its layers belong to, None where their names say so."""
    file = read_file(path)
    refuse_other_kinds(path, file.tensors)
    layers, wrong = _layers(file.tensors)
    if wrong and not layers:
        raise BadCheckpoint(
            f"{str(path)!r} is no LoRA: it holds {len(wrong)} tensors, such as {wrong[0]!r}, and none of one."
        )
    alphas = _alphas(path, file.metadata)
    updates: dict[Part, dict[str, Update]] = {"unet": {}, "text_encoder": {}}
    keys: dict[Place, str] = {}
    for layer, tensors in layers.items():
        place = names.ours(layer, PARTS if part is None else (part,))
        if place is None or not {"down", "up"} <= tensors.keys() or place in keys:
            wrong.extend(name for name, _ in tensors.values())
            continue
        keys[place] = layer
        updates[place[0]][place[1]] = _update(path, layer, tensors, alphas.get(place[0], Alphas()))
    if wrong:
        raise BadCheckpoint(
            f"{str(path)!r} is no LoRA for this kind of model: {len(wrong)} tensors have no place in one: "
            f"{listed(wrong)}."
        )
    if not keys:
        raise BadCheckpoint(f"{str(path)!r} is no LoRA: it holds no tensor.")
    metadata = {name: text for name, text in file.metadata.items() if name not in (SETTINGS, "format")}
    return LoRA(unet=updates["unet"], text_encoder=updates["text_encoder"], keys=keys, metadata=metadata)


def _layers(tensors: Mapping[str, Tensor]) -> tuple[dict[str, dict[Role, Named]], list[str]]:
    """The tensors of each layer by their role, and the names that say no role or say it twice."""
    layers: dict[str, dict[Role, Named]] = {}
    wrong = []
    for name, tensor in tensors.items():
        parsed = split(name)
        if parsed is None or parsed[1] in layers.get(parsed[0], {}):
            wrong.append(name)
        else:
            layers.setdefault(parsed[0], {})[parsed[1]] = (name, tensor)
    return layers, wrong


def _alphas(path: Path, header: Mapping[str, str]) -> Mapping[Part, Alphas]:
    """What stands in the file's header, or in PEFT's settings beside it."""
    settings = path.with_name(PEFT_SETTINGS)
    if path.name in PEFT_FILES and settings.is_file():
        common = read_settings(str(settings), Fields.read(settings).values)
        return {"unet": common, "text_encoder": common}
    return read_header(str(path), header)


def _update(path: Path, layer: str, tensors: Mapping[Role, Named], alphas: Alphas) -> Update:
    down, up = tensors["down"][1], tensors["up"][1]
    middle = tensors["middle"][1] if "middle" in tensors else None
    try:
        update = Update(down=down, up=up, middle=middle)
        if "alpha" not in tensors:
            return replace(update, alpha=alphas.of(layer, update.rank))
        alpha = tensors["alpha"][1]
        if alpha.numel() != 1 or not math.isfinite(alpha.item()):
            raise BadCheckpoint(f"its alpha is {alpha.tolist()}, which must be one finite number")
        return replace(update, alpha=float(alpha.item()))
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{str(path)!r}: {layer!r} is no update: {error}.") from error


def _write_kohya(path: Path, lora: LoRA, names: LayerNames) -> None:
    tensors: dict[str, Tensor] = {}
    for part, updates in lora.updates.items():
        for name, update in updates.items():
            layer = KOHYA_PREFIXES[part] + names.theirs(part, name).replace(".", "_")
            parts: dict[Role, Tensor | None] = {"down": update.down, "up": update.up, "middle": update.middle}
            tensors |= {layer + KOHYA_ENDINGS[role]: tensor for role, tensor in parts.items() if tensor is not None}
            if update.alpha is not None:
                tensors[f"{layer}.alpha"] = _as_tensor(update.alpha, update.down.dtype)
    _write(path, tensors, dict(lora.metadata))


def _write_diffusers(path: Path, lora: LoRA, names: LayerNames) -> None:
    tensors: dict[str, Tensor] = {}
    settings: dict[str, object] = {}
    for part, layers in _named(lora, names, "diffusers").items():
        tensors |= {f"{part}.{name}": tensor for name, tensor in _matrices(layers).items()}
        if any(update.alpha is not None for update in layers.values()):
            settings |= {f"{part}.{name}": value for name, value in write_settings(_without_step(layers)).items()}
    header = {SETTINGS: json.dumps(settings, sort_keys=True)} if settings else {}
    _write(path, tensors, dict(lora.metadata) | header)


def _write_peft(path: Path, lora: LoRA, names: LayerNames) -> None:
    parts = {part: _without_step(layers) for part, layers in _named(lora, names, "PEFT").items()}
    with whole_folder(path, mark=f"{next(iter(parts))}/{PEFT_SETTINGS}") as partial:
        for part, layers in parts.items():
            (partial / part).mkdir()
            tensors = {f"base_model.model.{name}": tensor for name, tensor in _matrices(layers).items()}
            write_tensors(partial / part / PEFT_FILES[0], tensors)
            write_json(partial / part / PEFT_SETTINGS, write_settings(layers))


STYLES: dict[str, Callable[[Path, LoRA, LayerNames], None]] = {
    "kohya": _write_kohya,
    "diffusers": _write_diffusers,
    "peft": _write_peft,
}


def _named(lora: LoRA, names: LayerNames, style: str) -> dict[Part, dict[str, Update]]:
    """The updates of each network that has some, by the dotted names of its layers."""
    for part, updates in lora.updates.items():
        for name, update in updates.items():
            if update.middle is not None:
                raise BadInput(f"{part}.{name} has a middle tensor (CP decomposition), which {style} cannot say.")
    return {
        part: {names.theirs(part, name): update for name, update in updates.items()}
        for part, updates in lora.updates.items()
        if updates
    }


def _matrices(layers: Mapping[str, Update]) -> dict[str, Tensor]:
    matrices = {f"{name}.lora_A.weight": update.down for name, update in layers.items()}
    return matrices | {f"{name}.lora_B.weight": update.up for name, update in layers.items()}


def _without_step(layers: Mapping[str, Update]) -> dict[str, Update]:
    """The layers as PEFT meets them: transformers 5 has no module `text_model` any more."""
    return {name.removeprefix("text_model."): update for name, update in layers.items()}


def _as_tensor(alpha: float, dtype: torch.dtype) -> Tensor:
    """A scalar in `dtype` where that holds it exactly, else in float32."""
    exact = torch.tensor(alpha, dtype=dtype)
    return exact if exact.item() == alpha else torch.tensor(alpha, dtype=torch.float32)


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    with beside(path) as partial:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(plain, partial, metadata={"format": "pt", **metadata})
        put_in_order(partial)
