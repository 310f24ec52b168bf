"""`safelight convert M OUT`: a model, a part or an adapter in another form."""

from __future__ import annotations

import argparse
from typing import Any

from safelight.apps.terminal import add_out_arguments, answer, file_dtype_of, prediction_of


def add_to(commands: Any) -> None:
    """The arguments of the command."""
    command = commands.add_parser("convert", help="write a model, a part of one or an adapter in another form")
    command.add_argument("model", help="a folder, a file, an id on the hub, or 'bundled'")
    add_out_arguments(command)
    command.add_argument("--style", metavar="S", help="of an adapter: kohya, diffusers, peft; automatic1111, plain")
    command.add_argument("--for", dest="made_for", metavar="M", help="the model of a LoRA, if not of SD's make")
    command.add_argument("--variant", metavar="V", help="read the files of that name, such as fp16")
    command.add_argument("--prediction", metavar="P", help="epsilon, v or x0, where the file cannot be believed")
    command.add_argument("--raw", action="store_true", help="the raw weights of a training file, not their averages")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Convert, and say what was written where."""
    from safelight.converting import convert

    what = convert(
        arguments.model,
        arguments.out,
        dtype=file_dtype_of(arguments.dtype),
        style=arguments.style,
        made_for=arguments.made_for,
        variant=arguments.variant,
        prediction=prediction_of(arguments.prediction),
        weights="raw" if arguments.raw else "averaged",
    )
    answer(arguments, {"out": str(arguments.out), "what": what}, [f"{arguments.out}: {what}"])
