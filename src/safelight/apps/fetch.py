"""`safelight fetch ID`: download a model from the hub, or bring it up to date."""

from __future__ import annotations

import argparse
import os
from typing import Any

from safelight.apps.terminal import add_json_argument, answer


def add_to(commands: Any) -> None:
    """The arguments of the command."""
    command = commands.add_parser("fetch", help="download a model from the hub, or bring it up to date")
    command.add_argument("id", help="owner/name, with @revision and /file behind it where needed")
    command.add_argument("--variant", metavar="V", help="take the weights of that name, such as fp16")
    add_json_argument(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Ask the hub for the newest files, get what the cache lacks, and say where they lie."""
    from safelight.weights.hub import refresh

    if arguments.json:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    place = refresh(arguments.id, variant=arguments.variant)
    answer(arguments, {"path": str(place)}, [str(place)])
