"""`safelight data check PATH`: what may be wrong with a collection of pictures, before a network learns it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.apps.terminal import add_json_argument, answer, progress
from safelight.errors import BadInput

if TYPE_CHECKING:
    from safelight.data.check.findings import Limits, Looked


def add_to(commands: Any) -> None:
    """The arguments of the command."""
    command = commands.add_parser("data", help="look after a collection of captioned pictures")
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="say what may be wrong with a collection, with counts and examples")
    check.add_argument("path", type=Path, metavar="PATH", help="folder of pictures or .tar shards, a shard, or a list")
    check.add_argument("--against", type=Path, metavar="PATH", help="a collection that should have no picture of it")
    check.add_argument(
        "--tokenizer", type=Path, metavar="F", help="a tokenizer's folder, such as RUN/tokenizer: captions in tokens"
    )
    check.add_argument(
        "--least-side", type=int, default=64, metavar="N", help="pixels below which a side is too short (default: 64)"
    )
    add_json_argument(check)
    check.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Look at every picture, compare, and report; what is found is no error."""
    from safelight.data.check.findings import check

    if arguments.least_side < 1:
        raise BadInput(f"--least-side is {arguments.least_side}; it must be at least 1.")
    limits = limits_of(arguments)
    own = looked(arguments.path)
    other = looked(arguments.against) if arguments.against else []
    report = check(own, other, limits)
    answer(arguments, {"data": str(arguments.path), **report.facts()}, report.sentences())


def looked(path: Path) -> Sequence[Looked]:
    """Every record of a collection with the look at it, with a bar on a terminal."""
    from safelight.data.check.look import looks
    from safelight.data.collection import open_collection

    records = open_collection(path)
    return list(zip(records, progress(looks(records), len(records), path.name), strict=True))


def limits_of(arguments: argparse.Namespace) -> Limits:
    """Captions are counted in tokens where there is a tokenizer, between its start and its end; else in words."""
    from safelight.data.check.findings import Limits

    if arguments.tokenizer is None:
        return Limits(least_side=arguments.least_side)
    from safelight.text import Tokenizer

    tokenizer = Tokenizer.load(arguments.tokenizer)

    def length(caption: str) -> int:
        return len(tokenizer.words(caption))

    return Limits(least_side=arguments.least_side, longest_caption=tokenizer.length - 2, length=length)
