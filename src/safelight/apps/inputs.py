"""How a picture is drawn, on the command line: the sampler's part, what only some models are shown, adapters."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from safelight.errors import BadInput
from safelight.paths import is_there

if TYPE_CHECKING:
    from safelight.conditioning import Box
    from safelight.pipeline import Pipeline
    from safelight.request import Request

# What a model may need -> the flag that brings it.
FLAGS = {
    "image": "--image",
    "mask_image": "--mask",
    "depth_map": "--depth",
    "semantic_map": "--map",
    "class_label": "--class",
    "boxes": "--boxes",
}

# A flag that is left to the model where the caller does not say -> its name in a request.
LEFT_TO_THE_MODEL = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "guidance_start": "guidance_start",
    "guidance_end": "guidance_end",
    "sampler": "sampler",
    "grid": "grid",
}


def add_sampling_arguments(command: argparse.ArgumentParser) -> None:
    """How a latent is drawn from noise."""
    for flag, kind, metavar, what in (
        ("--steps", int, "N", "of the sampler (default: 25, or the model's own)"),
        ("--guidance", float, "G", "1 is none (default: 7.5, or the model's own)"),
        ("--guidance-start", float, "B", "share of the steps before guidance (default: 0, or the model's own)"),
        ("--guidance-end", float, "E", "share of the steps after which none has it (default: 1, or the model's own)"),
        ("--sampler", str, "S", "(default: dpmpp_2m, or the model's own)"),
        ("--grid", str, "K", "noise levels visited (default: karras, or the model's own)"),
    ):
        command.add_argument(flag, type=kind, metavar=metavar, help=what)


def add_input_arguments(command: argparse.ArgumentParser) -> None:
    """What only some models are shown."""
    command.add_argument("--depth", metavar="F", help="a depth map, lighter where things are nearer")
    command.add_argument("--map", metavar="F", help="a grey picture of which each pixel is a label's number")
    command.add_argument("--class", dest="class_label", type=int, metavar="N", help="the number of a class")
    command.add_argument(
        "--boxes", metavar="F", help='JSON: [{"label": "Dog", "left": 0, "top": 0, "right": 0.5, "bottom": 1}, ...]'
    )
    command.add_argument("--noise-level", type=int, metavar="N", help="of the noise on a picture to enlarge or vary")
    command.add_argument(
        "--image-guidance", type=float, default=1.5, metavar="G", help="how closely a changed picture follows --image"
    )


def add_adapter_arguments(command: argparse.ArgumentParser) -> None:
    """What changes a model without being one; each may be given several times."""
    command.add_argument("--lora", action="append", default=[], metavar="F[=W]", help="a LoRA, and its weight")
    command.add_argument("--embedding", action="append", default=[], metavar="F[=WORD]", help="a learnt word")
    command.add_argument("--controlnet", action="append", default=[], metavar="M[=W]", help="a ControlNet")
    command.add_argument(
        "--control-image", action="append", metavar="F", help="what a ControlNet is shown, one for each in turn"
    )


def add_adapters(pipeline: Pipeline, arguments: argparse.Namespace) -> None:
    """Put the adapters on that were asked for; raises BadInput for a weight that is no number."""
    for given in arguments.lora:
        file, weight = _split(given)
        pipeline.add_lora(file, _weight("--lora", given, weight))
    for given in arguments.embedding:
        file, word = _split(given)
        pipeline.add_embedding(file, word or None)
    for given in arguments.controlnet:
        file, weight = _split(given)
        pipeline.add_controlnet(file, _weight("--controlnet", given, weight))


def _split(given: str) -> tuple[str, str]:
    """`file=extra` -> its two halves; a file of that whole name is taken as it is."""
    if is_there(Path(given)):
        return given, ""
    file, _, extra = given.rpartition("=")
    return (file, extra) if file else (given, "")


def _weight(flag: str, given: str, weight: str) -> float:
    try:
        number = float(weight or 1)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(f"{flag} {given!r}: the weight is {weight!r}; it must be a number, such as {flag} file=0.8.")
    return number


def check_given(pipeline: Pipeline, request: Request, prompt: Sequence[str] | None) -> None:
    """Raise BadInput that names the flag of everything that the model needs and was not given."""
    from safelight.tasks.task import INPUTS

    task = pipeline.task
    missing = ['a prompt ("" for none)'] if task.reads_text and prompt is None else []
    missing += [f"{FLAGS[name]} ({INPUTS[name]})" for name in task.needs if getattr(request, name) is None]
    if missing:
        raise BadInput(f"This model {task.does}: give {' and '.join(missing)}.")


def read_boxes(file: str) -> list[Box]:
    """The boxes that a JSON file lists; raises BadInput that names what is wrong with which."""
    from safelight.conditioning import Box

    try:
        found = json.loads(Path(file).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{file!r} is no readable list of boxes: {error}.") from error
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise BadInput(f"{file!r} must hold a list of objects, each with label, left, top, right and bottom.")
    boxes = []
    wanted = [field.name for field in fields(Box)]
    for number, each in enumerate(found, 1):
        if each.keys() != set(wanted):
            raise BadInput(f"Box {number} of {file!r} has {', '.join(each) or 'nothing'}; needed: {', '.join(wanted)}.")
        try:
            boxes.append(Box(**each))
        except (TypeError, BadInput) as error:
            raise BadInput(f"Box {number} of {file!r}: {error}") from error
    return boxes
