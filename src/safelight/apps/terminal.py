"""What all commands say to the terminal: progress on standard error, one JSON object on standard output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from safelight.configs import Prediction
from safelight.errors import unknown_name

if TYPE_CHECKING:
    from safelight.pipeline import Pipeline

Item = TypeVar("Item")


def add_model_arguments(command: argparse.ArgumentParser) -> None:
    """Which model, where it runs and in which precision."""
    command.add_argument(
        "--model", metavar="M", help="a folder, a checkpoint file, or an id on the hub (default: the bundled model)"
    )
    command.add_argument("--variant", metavar="V", help="read the files of that name, such as fp16")
    command.add_argument("--prediction", metavar="P", help="epsilon, v or x0, where the file cannot be believed")
    command.add_argument("--raw", action="store_true", help="the raw weights of a training file, not their averages")
    command.add_argument("--vae", metavar="M", help="another autoencoder, or a tiny decoder: a folder or a file")
    command.add_argument("--text-encoder", metavar="M", help="another text encoder: a folder or a file")
    command.add_argument("--unet", metavar="M", help="another UNet: a folder or a file")
    command.add_argument("--fast", action="store_true", help="with what the model has beside it for few steps")
    command.add_argument("--dtype", metavar="D", help="float32, bfloat16, float16, or auto: the fastest done well here")
    command.add_argument("--device", metavar="D", help="cpu, cuda, ... (default: a GPU where there is one)")


def prediction_of(word: str | None) -> Any:
    """What --prediction names; raises BadInput for what no model predicts."""
    if word is not None and word not in get_args(Prediction):
        raise unknown_name("prediction", word, get_args(Prediction))
    return word


def add_out_arguments(command: argparse.ArgumentParser) -> None:
    """Where a model is written, and in which numbers."""
    command.add_argument("out", type=Path, help="OUT.safetensors for one file, another name for a folder")
    command.add_argument("--dtype", metavar="D", help="float32, bfloat16, float16, int8 (default: unchanged)")
    add_json_argument(command)


def file_dtype_of(word: str | None) -> Any:
    """The type of numbers in files that --dtype names, None for None; raises BadInput for an unknown one."""
    import torch

    from safelight.placement import DTYPES, SHORT_NAMES

    if word is None:
        return None
    name, dtypes = SHORT_NAMES.get(word, word), {**DTYPES, "int8": torch.int8}
    if name not in dtypes:
        raise unknown_name("dtype", name, dtypes)
    return dtypes[name]


def pipeline_of(arguments: argparse.Namespace) -> Pipeline:
    """The model that the words on the command line name."""
    from safelight.pipeline import load

    return load(
        arguments.model,
        dtype=arguments.dtype,
        device=arguments.device,
        variant=arguments.variant,
        prediction=prediction_of(arguments.prediction),
        weights="raw" if arguments.raw else "averaged",
        autoencoder=arguments.vae,
        text_encoder=arguments.text_encoder,
        unet=arguments.unet,
        fast=arguments.fast,
    )


def add_json_argument(command: argparse.ArgumentParser) -> None:
    """One JSON object instead of sentences."""
    command.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def answer(arguments: argparse.Namespace, facts: dict[str, Any], sentences: Iterable[str]) -> None:
    """Print the facts as one JSON object where the user asked for it, else the sentences."""
    if arguments.json:
        print(json.dumps(facts))
    else:
        for sentence in sentences:
            print(sentence)


def progress(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """The items, with a bar on a terminal that shows the step and the time left, and goes when it is done."""
    from tqdm import tqdm

    shape = "{desc} {n_fmt}/{total_fmt} |{bar}| {remaining} left"
    bar = tqdm(total=total, desc=what, bar_format=shape, leave=False, disable=not sys.stderr.isatty(), file=sys.stderr)
    with bar:
        for item in items:
            bar.update(1)
            yield item
