"""The forms of a single file: the tensors of the original layout as others write them, without a note of ours."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from safelight.weights import Parts
from safelight.weights.original.layout import original_tensors

Tensors = dict[str, Tensor]
MODEL, OPEN_CLIP = "model.", "cond_stage_model.model."
LAST = 2  # layers of the small text encoder: OpenCLIP's own has one more, which nobody reads


def tensors_of(parts: Parts) -> Tensors:
    """All tensors of a model, each its own, and what lies beside them in a file of OpenCLIP's."""
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in original_tensors(parts).items()}
    last = f"{OPEN_CLIP}transformer.resblocks.{LAST - 1}."
    again = {name.replace(f".{LAST - 1}.", f".{LAST}."): tensors[name] for name in tensors if name.startswith(last)}
    if again:
        tensors |= {name: tensor + 1 for name, tensor in again.items()}
        tensors |= {f"{OPEN_CLIP}text_projection": torch.eye(32), f"{OPEN_CLIP}logit_scale": torch.tensor(4.6)}
        tensors[f"{OPEN_CLIP}attn_mask"] = torch.zeros(77, 77)
    return tensors


def half(tensors: Tensors) -> Tensors:
    """In half precision, whole numbers as they are."""
    return {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def averaged(tensors: Tensors) -> Tensors:
    """With moving averages, as the original trainer names them; these are the model, and the raw weights are not."""
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(MODEL)}
    averages = {f"model_ema.{name.removeprefix(MODEL).replace('.', '')}": tensor for name, tensor in own.items()}
    marks = {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(470000, dtype=torch.int32)}
    loss = {"first_stage_model.loss.logvar": torch.zeros(()), "logvar": torch.zeros(1000)}
    return tensors | raw(own) | averages | marks | loss


def raw(own: Tensors) -> Tensors:
    """Other weights than the averages."""
    return {name: tensor * 1.05 for name, tensor in own.items()}


def lightning(tensors: Tensors) -> dict[str, object]:
    """What the trainer writes around the weights."""
    return {
        "epoch": 3,
        "global_step": 470000,
        "pytorch-lightning_version": "1.4.2",
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": "/training/last.ckpt"}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4}]}],
        "lr_schedulers": [],
        "hyper_parameters": argparse.Namespace(lr=1e-4),
        "state_dict": tensors,
    }


# Form -> (name of the file, what writes it). The names that lie, and the one that says nothing, are meant.
FILES: dict[str, tuple[str, Callable[[Tensors, Path], None]]] = {
    "safetensors": ("model.safetensors", save_file),
    "safetensors as .ckpt": ("model.ckpt", save_file),
    "pickle as .safetensors": ("model.safetensors", torch.save),
    "old pickle": ("model", lambda tensors, file: torch.save(tensors, file, _use_new_zipfile_serialization=False)),
    "ckpt of Lightning, averaged": ("x.png", lambda tensors, file: torch.save(lightning(averaged(tensors)), file)),
    "ckpt, half precision": ("half.ckpt", lambda tensors, file: torch.save(lightning(half(tensors)), file)),
    "safetensors, half precision": ("ünd so weiter", lambda tensors, file: save_file(half(tensors), file)),
}
