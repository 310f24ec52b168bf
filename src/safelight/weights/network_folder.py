"""A network's own folder: config.json and a file of weights, as diffusers and transformers write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from safelight.weights.fields import Fields
from safelight.weights.files import read_weights, write_json, write_tensors
from safelight.weights.formats import pack_rows, read_file
from safelight.weights.key_table import KeyTable
from safelight.weights.strict import Network, foreign_tensors, load_strictly
from safelight.weights.whole_folder import whole_folder

CONFIG = "config.json"
DIFFUSERS, TRANSFORMERS = "diffusion_pytorch_model", "model"  # how each library calls its files of weights


def read_config(folder: Path | str) -> Fields:
    """The fields of a folder's config.json."""
    return Fields.read(Path(folder) / CONFIG)


def load_network(
    part: str,
    build: Callable[[], Network],
    table: KeyTable,
    folder: Path | str,
    stem: str,
    dtype: torch.dtype | None,
    variant: str | None,
) -> Network:
    """The network that `build` makes, with the weights that lie in `folder` under `stem`.

    part: what errors call it. dtype: None keeps the file's. variant: "fp16" reads the files of that name.
    Raises BadCheckpoint.
    """
    file, tensors = read_weights(Path(folder), stem, variant)
    network = load_strictly(part, build, table, file, tensors, dtype=None)
    del tensors  # so that each leaves memory once it is converted
    return network if dtype is None else network.to(dtype)


def save_network(folder: Path | str, config: Mapping[str, Any], stem: str, network: nn.Module, table: KeyTable) -> None:
    """Write a network's folder, whole or not at all; raises BadInput.

    Weights that lie there under another name (a variant, shards, a pickle) are not this network's any more, and go.
    """
    with whole_folder(Path(folder), mark=CONFIG, stale=("*model*",)) as partial:
        write_tensors(partial / f"{stem}.safetensors", foreign_tensors(network, table))
        write_json(partial / CONFIG, config)


def class_of(folder: Path) -> str:
    """The class in which diffusers or transformers would open the network in a folder; "" where it says none."""
    values = read_config(folder).values
    return str(values.get("_class_name") or next(iter(values.get("architectures") or []), ""))


def pack_folder(folder: Path | str) -> None:
    """Every network at or below `folder` in eight bits: its matrices as `formats.eight_bits` packs them.

    File by file, so that a whole model stands there at any moment. Raises BadCheckpoint, BadInput.
    """
    for config in sorted(Path(folder).rglob(CONFIG)):
        for path in sorted(config.parent.glob("*.safetensors")):
            file = read_file(path)
            write_tensors(path, pack_rows(file.tensors), file.metadata)
