"""Random LoRAs in every style of file, and what they make of a network, written down from the formula alone."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

RANK, ALPHA = 3, 2.0
Matrices = dict[str, tuple[Tensor, Tensor]]  # a layer's name -> down, up


def layers(network: nn.Module) -> list[str]:
    """The names of all linear layers and convolutions."""
    return [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]


def matrices(network: nn.Module, names: Iterable[str], seed: int = 0) -> Matrices:
    """Random matrices of rank 3 for these layers."""
    draw = torch.Generator().manual_seed(seed)
    found: Matrices = {}
    for name in names:
        out, into, *kernel = network.get_submodule(name).weight.shape
        down = 0.2 * torch.randn(RANK, into, *kernel, generator=draw)
        found[name] = down, 0.2 * torch.randn(out, RANK, *[1 for _ in kernel], generator=draw)
    return found


def updated(network: nn.Module, found: Matrices, scale: float) -> nn.Module:
    """A copy of a network with W + scale B A for each W (Hu et al. 2021, equation 3)."""
    changed = copy.deepcopy(network)
    for name, (down, up) in found.items():
        weight = changed.get_submodule(name).weight
        product = torch.tensordot(up.flatten(1).double(), down.double(), dims=1)
        weight.data = (weight.double() + scale * product.reshape(weight.shape)).to(weight.dtype)
    return changed


def kohya(unet: Matrices, text: Matrices, alpha: float | None = ALPHA) -> dict[str, Tensor]:
    """As sd-scripts writes them: dots become underscores, alpha stands beside the matrices."""
    tensors: dict[str, Tensor] = {}
    for prefix, found in (("lora_unet_", unet), ("lora_te_text_model_", text)):
        for name, (down, up) in found.items():
            layer = prefix + name.replace(".", "_")
            tensors |= {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}
            if alpha is not None:
                tensors[f"{layer}.alpha"] = torch.tensor(alpha)
    return tensors


def dotted(endings: tuple[str, str], unet: Matrices, text: Matrices, inner: str = "text_model.") -> dict[str, Tensor]:
    """As diffusers writes them, with one of its two pairs of endings."""
    named = {f"unet.{name}": pair for name, pair in unet.items()}
    named |= {f"text_encoder.{inner}{name}": pair for name, pair in text.items()}
    return {name + ending: tensor for name, pair in named.items() for ending, tensor in zip(endings, pair, strict=True)}


def processors(unet: Matrices, text: Matrices, prefix: str = "unet.") -> dict[str, Tensor]:
    """As diffusers wrote attention layers before version 0.22."""
    older = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out.0": "to_out"}
    older |= {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}
    tensors = {}
    for start, middle, found in ((prefix, "processor.", unet), ("text_encoder.text_model.", "", text)):
        for name, (down, up) in found.items():
            last = next(last for last in older if name.endswith(f".{last}"))
            stem = f"{start}{name.removesuffix(last)}{middle}{older[last]}_lora"
            tensors |= {f"{stem}.down.weight": down, f"{stem}.up.weight": up}
    return tensors


def attention(names: Iterable[str]) -> list[str]:
    """Those that are the projections of attention."""
    endings = ("to_q", "to_k", "to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj")
    return [name for name in names if name.endswith(endings)]


def write_peft(folder: Path, unet: Matrices, text: Matrices, alpha: float = ALPHA) -> Path:
    """As PEFT writes the adapters of two networks, each into its folder."""
    for part, found in (("unet", unet), ("text_encoder", text)):
        (folder / part).mkdir(parents=True)
        tensors = {f"base_model.model.{name}.lora_A.weight": down for name, (down, _) in found.items()}
        tensors |= {f"base_model.model.{name}.lora_B.weight": up for name, (_, up) in found.items()}
        save_file(tensors, folder / part / "adapter_model.safetensors")
        settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": alpha, "target_modules": sorted(found)}
        (folder / part / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    """A safetensors file."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)
    return path


Writer = Callable[[Path, Matrices, Matrices], Path]
