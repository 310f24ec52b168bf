"""`safelight info M`: what a model, or a file of weights, is made of."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.apps.terminal import add_json_argument, answer

if TYPE_CHECKING:
    from torch import Tensor

    from safelight.weights import Parts
    from safelight.weights.formats import TensorFile
    from safelight.weights.recognition import Contents, Found

LISTED = 5  # names of each unusual kind that a sentence spells out


def add_to(commands: Any) -> None:
    """The arguments of the command."""
    command = commands.add_parser("info", help="say what a model or a file of weights is made of")
    command.add_argument("model", nargs="?", help="a folder, a file, an id on the hub (default: the bundled model)")
    add_json_argument(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Describe a file by its tensors, a model by its parts."""
    from safelight.opening import is_bundled, located, open_model

    if not is_bundled(arguments.model) and (path := located(arguments.model)).is_file():
        facts, sentences = describe_file(path)
    else:
        parts, name = open_model(arguments.model)
        facts, sentences = describe_model(parts, name)
    answer(arguments, facts, sentences)


def describe_model(parts: Parts, name: str) -> tuple[dict[str, Any], list[str]]:
    """Facts and sentences of a whole model."""
    from torch import nn

    from safelight.tasks import TASKS

    task = TASKS[parts.task]
    facts: dict[str, Any] = {"model": name, "task": parts.task, "schedule": asdict(parts.schedule)}
    tokens = ""
    if parts.tokenizer is not None:
        facts["tokens"] = len(parts.tokenizer.vocabulary)
        tokens = f"{facts['tokens']:,} tokens, "
    sentences = [f"{name}: {task.does}; {tokens}{parts.schedule.prediction} prediction"]
    if task.needs:
        facts["needs"] = list(task.needs)
        sentences.append(f"  needs         {', '.join(task.needs)}")
    for part, network in vars(parts).items():
        if isinstance(network, nn.Module):
            facts[part], sentence = _network(network)
            sentences.append(f"  {part:13} {sentence}")
    size = parts.unet.config.sample_size * parts.autoencoder.config.factor
    facts["size"] = size
    return facts, [*sentences, f"  draws {size} x {size} pixels by default"]


def describe_file(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Facts and sentences of one file, none of whose numbers is read."""
    from safelight.weights.formats import read_file
    from safelight.weights.recognition import recognise

    file = read_file(path)
    contents = recognise(file.tensors)
    models = [row.name for row in contents.models]
    facts: dict[str, Any] = {
        "file": str(path),
        "format": file.format.value,
        "bytes": path.stat().st_size,
        "tensors": len(file.tensors),
        "parts": [_part(found, file) for found in contents.found],
        "models": models,
        "task": contents.task,
        "metadata": file.metadata,
        "other": file.other,
        "unused": list(contents.unused),
        "unknown": list(contents.unknown),
    }
    sentences = [f"{path.name}: {file.format.value}, {len(file.tensors):,} tensors, {facts['bytes'] / 1e6:,.1f} MB"]
    if models:
        sentences.append(f"  shaped like   {', '.join(models)}")
    for found in facts["parts"]:
        sentences.append(
            f"  {found['kind']:13} {found['parameters']:>13,} numbers, {', '.join(found['dtypes'])}, "
            f"{found['layout']} layout{', with averages' if found['averaged'] else ''}"
        )
    return facts, [*sentences, *_unusual(contents, file)]


def _network(network: Any) -> tuple[dict[str, Any], str]:
    weights = list(network.parameters())
    count, dtypes = sum(weight.numel() for weight in weights), _dtypes(weights)
    shape = _shape(getattr(network, "config", None))
    return {"parameters": count, "dtypes": dtypes, "config": shape}, f"{count:>13,} parameters, {', '.join(dtypes)}"


def _shape(config: object) -> dict[str, Any]:
    return asdict(config) if is_dataclass(config) and not isinstance(config, type) else {}


def _part(found: Found, file: TensorFile) -> dict[str, Any]:
    tensors = [file.tensors[name] for name in found.names]
    return {
        "kind": found.kind,
        "layout": found.layout,
        "prefix": found.prefix,
        "tensors": len(tensors),
        "parameters": sum(tensor.numel() for tensor in tensors),
        "dtypes": _dtypes(tensors),
        "averaged": bool(found.averaged),
        "config": _shape(found.config) or None,
        "fault": found.fault,
    }


def _unusual(contents: Contents, file: TensorFile) -> list[str]:
    sentences = [f"  cannot be opened: {found.fault}" for found in contents.found if found.fault]
    if contents.foreign:
        sentences.append(f"  of another family: {contents.foreign}")
    if file.other:
        sentences.append(f"  beside the tensors, never run: {_some(f'{k} ({v})' for k, v in file.other.items())}")
    if contents.unused:
        sentences.append(f"  {len(contents.unused)} tensors that make no picture: {_some(contents.unused)}")
    if contents.unknown:
        sentences.append(f"  {len(contents.unknown)} unknown tensors: {_some(contents.unknown)}")
    if file.metadata:
        sentences.append(f"  metadata: {_some(f'{key}: {_short(value)}' for key, value in file.metadata.items())}")
    return sentences


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - LISTED
    return ", ".join(listed[:LISTED]) + (f", and {more} more" if more > 0 else "")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _dtypes(tensors: Iterable[Tensor]) -> list[str]:
    return sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors})
