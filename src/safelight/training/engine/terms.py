"""What a step of a run means: settings that must stay as they were when it began, or its steps are no one sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from safelight.errors import BadInput
from safelight.training.engine.settings import LoopConfig, Term
from safelight.training.engine.task import Task


def terms_of(task: Task[Any], config: LoopConfig) -> dict[str, Any]:
    """Name -> value; `data` is the fingerprint of the task's training samples."""
    return {name: task.fingerprint if name == "data" else getattr(config, name) for name in get_args(Term)}


def check_same_terms(began: Mapping[str, Any], now: Mapping[str, Any], allowed: Sequence[str], run: str) -> None:
    """Raise BadInput that names each term in which a run would change, unless it is among those allowed to.

    What a checkpoint of an earlier version does not tell is taken as unchanged.
    """
    changed = [name for name in now if name in began and began[name] != now[name] and name not in allowed]
    if not changed:
        return
    said = [
        "the data is another collection" if name == "data" else f"loop.{name} is {now[name]}, not {began[name]}"
        for name in changed
    ]
    names = ", ".join(f'"{name}"' for name in [*allowed, *changed])
    raise BadInput(
        f"The run in {run!r} began otherwise: {'; '.join(said)}. Give what it began with, or another folder; "
        f"loop.allow=[{names}] goes on all the same."
    )
