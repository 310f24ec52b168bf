"""`--where`: which samples of a collection a command is about."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from safelight.errors import BadInput


def add_where_argument(command: argparse.ArgumentParser, what: str) -> None:
    """The option; `what` it leaves."""
    command.add_argument("--where", action="append", default=[], metavar="FIELD=A,B", help=f"only such {what}")


def where_of(given: Sequence[str]) -> dict[str, Sequence[str]]:
    """`FIELD=A,B` -> field and values; raises BadInput for another form."""
    where: dict[str, Sequence[str]] = {}
    for each in given:
        name, _, values = each.partition("=")
        if not name or not values:
            raise BadInput(f"--where is {each!r}; it must be a field and its values, such as style=photo,noto.")
        where[name] = values.split(",")
    return where
