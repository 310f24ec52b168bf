"""`safelight merge M OTHER OUT`: two models into one, by the mean of their weights."""

from __future__ import annotations

import argparse
from typing import Any

from safelight.apps.terminal import add_out_arguments, answer, file_dtype_of


def add_to(commands: Any) -> None:
    """The arguments of the command."""
    command = commands.add_parser("merge", help="write the mean of two models' weights, or add what one has learnt")
    command.add_argument("model", help="a folder, a file, an id on the hub, or 'bundled'; its autoencoder is kept")
    command.add_argument("other", help="another model of the same make")
    add_out_arguments(command)
    command.add_argument("--share", type=float, default=0.5, metavar="S", help="of the other, 0 to 1 (default: 0.5)")
    command.add_argument("--base", metavar="M", help="add only what the other has learnt since it was this model")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Merge, and say what was written where."""
    from safelight.merging import merge

    what = merge(
        arguments.model,
        arguments.other,
        arguments.out,
        share=arguments.share,
        base=arguments.base,
        dtype=file_dtype_of(arguments.dtype),
    )
    answer(arguments, {"out": str(arguments.out), "what": what}, [f"{arguments.out}: {what}"])
