"""`safelight models`: the bundled model and the published ones that Safelight knows by name."""

from __future__ import annotations

import argparse
from typing import Any

from safelight.apps.terminal import add_json_argument, answer


def add_to(commands: Any) -> None:
    """The arguments of the command."""
    command = commands.add_parser("models", help="list the models that are known by name")
    add_json_argument(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the catalogue."""
    from safelight.catalog import CATALOG

    rows = [{"name": "bundled", "what": "our own model, inside the package: needs no download"}]
    rows += [{"name": row.name, "what": row.what, "hub": row.hub, "licence": row.licence} for row in CATALOG]
    width = max(len(row["name"]) for row in rows)
    answer(arguments, {"models": rows}, [f"{row['name']:{width}}  {row['what']}" for row in rows])
