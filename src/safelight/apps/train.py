"""`safelight train STAGE`: one kind of training, resumed where it was left."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import sys
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safelight.apps.terminal import add_json_argument, answer
from safelight.errors import BadInput

if TYPE_CHECKING:
    from safelight.training.engine.processes import Processes
    from safelight.training.engine.settings import LoopConfig
    from safelight.training.stages import Inputs

Result = TypeVar("Result")
TERMINATED = 128 + signal.SIGTERM  # the exit code of a process that this signal ended
NEEDS: dict[str, tuple[type, str, str]] = {
    "autoencoder": (Path, "RUN", "run of the first stage"),
    "clip": (Path, "RUN", "run of the second stage"),
    "model": (str, "M", "the model to start from: a folder, a checkpoint file, an id on the hub, or bundled"),
}


def add_to(commands: Any) -> None:
    """The arguments of the command."""
    from safelight.training.stages import STAGES

    command = commands.add_parser("train", help="train a part of a model, or go on training it")
    stages = command.add_subparsers(title="stages", metavar="STAGE", required=True)
    for name, kind in STAGES.items():
        stage = stages.add_parser(name, help=kind.does)
        add_arguments(stage, "change one field, e.g. loop.steps=50")
        for need, (kind_of, metavar, what) in NEEDS.items():
            if need in kind.needs or (need == "model" and kind.or_model):
                stage.add_argument(f"--{need}", type=kind_of, metavar=metavar, help=what)
        stage.set_defaults(run=run, stage=name)
    whole = stages.add_parser("all", help="a whole model from nothing: every stage, and a judge of what it draws")
    add_arguments(whole, "change one field, e.g. clip.loop.steps=50")
    whole.set_defaults(run=run_all)


def add_arguments(stage: argparse.ArgumentParser, example: str) -> None:
    """What every kind of training takes."""
    stage.add_argument("--recipe", default="tiny", metavar="R", help="name or TOML file (default: %(default)s)")
    stage.add_argument(
        "--data", type=Path, metavar="F", help="folder of captioned pictures or of .tar shards; A,B for several"
    )
    stage.add_argument("--out", type=Path, metavar="RUN", help="folder of the run; one that has begun goes on")
    stage.add_argument("--set", action="append", default=[], metavar="X=V", help=example)
    stage.add_argument("--print-config", action="store_true", help="print the whole configuration and stop")
    add_json_argument(stage)


def run(arguments: argparse.Namespace) -> None:
    """One stage."""
    from safelight.training.engine.processes import processes_for
    from safelight.training.recipe_file import read_recipe, to_toml
    from safelight.training.running import left_by
    from safelight.training.stages import Inputs

    stage = arguments.stage
    tables = {field.name for field in dataclasses.fields(getattr(read_recipe(arguments.recipe), stage))}
    recipe = getattr(read_recipe(arguments.recipe, [in_stage(each, stage, tables) for each in arguments.set]), stage)
    if arguments.print_config:
        print(to_toml(recipe, stage), end="")
        return
    check_out(arguments, stage)
    processes = processes_for(recipe.loop)
    with processes.claim(arguments.out) as claim:
        given = {name: getattr(arguments, name, None) for name in ("data", *NEEDS)}
        figures = turn(stage, Inputs(out=arguments.out, claim=claim, **given), recipe, processes)
    processes.end()
    if not processes.main:
        return
    left = left_by(stage, arguments.out)
    answer(arguments, {"run": str(arguments.out), "left": str(left), "figures": figures}, [f"Done: {left}"])


def in_stage(change: str, stage: str, tables: Collection[str]) -> str:
    """A change with its stage before it; "clip.loop.steps=1" has that, in "distill.grid=9" a table is called so."""
    first, _, rest = change.partition(".")
    whole = first == stage and (stage not in tables or rest.partition(".")[0] in tables)
    return change if whole else f"{stage}.{change}"


def run_all(arguments: argparse.Namespace) -> None:
    """Every stage of a model, each resumed where it was left."""
    from safelight.training.engine.processes import processes_for
    from safelight.training.recipe_file import read_recipe, to_toml
    from safelight.training.whole import examined, inputs_of, put_together, stages_for

    recipe = read_recipe(arguments.recipe, arguments.set)
    if arguments.print_config:
        print(to_toml(recipe), end="")
        return
    check_out(arguments, "all")
    if arguments.data is None:
        raise BadInput("--data is missing; `safelight train all` needs it.")
    figures: dict[str, dict[str, float]] = {}
    processes = processes_for(recipe.autoencoder.loop)
    for stage in stages_for(arguments.data, recipe):
        if processes.main:
            print(f"Stage {stage}:", file=sys.stderr)
        inputs = inputs_of(stage, arguments.out, arguments.data, recipe, processes)
        with inputs.claim:
            figures[stage] = turn(stage, inputs, getattr(recipe, stage), processes)
    processes.end()
    if not processes.main:
        return
    model = put_together(arguments.out)
    facts = {"run": str(arguments.out), "left": str(model), "figures": figures}
    told = [f"Done: {model}", f'safelight generate "..." --model {arguments.out} draws with it.']
    if "classifier" in figures:
        marks = taken(examined(arguments.out, arguments.data, recipe), "examination")
        found, worst = marks.found, marks.worst
        facts["examination"] = {"found": found.value, "low": found.low, "high": found.high, "pictures": marks.pictures}
        told.append(
            f"The judge found the prompted concept in {found.value:.1%} of {marks.pictures} pictures "
            f"(95 % interval {found.low:.1%} to {found.high:.1%})"
            + (f"; worst: {', '.join(worst[:8])}." if worst else ".")
        )
    answer(arguments, facts, told)


def taken(steps: Generator[int, None, Result], what: str) -> Result:
    """What a generator returns at its end, with a bar on a terminal until then."""
    from tqdm import tqdm

    with tqdm(desc=what, leave=False, disable=not sys.stderr.isatty(), file=sys.stderr) as bar:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            bar.update(1)


def check_out(arguments: argparse.Namespace, stage: str) -> None:
    """Raise BadInput without a folder for the run."""
    if arguments.out is None:
        raise BadInput(f"--out is missing; `safelight train {stage}` needs it.")


def turn(name: str, inputs: Inputs, recipe: Any, processes: Processes) -> dict[str, float]:
    """Train to the end, with a bar on a terminal and a line for each evaluation; returns the last figures.

    Ctrl-C and SIGTERM stop after the step that is under way, and save; all processes after the same one.
    """
    from tqdm import tqdm

    from safelight.training.running import run_stage

    config: LoopConfig = recipe.loop
    steps = run_stage(name, inputs, recipe, processes)
    latest: dict[str, float] = {}
    shown = processes.main and sys.stderr.isatty()
    bar = tqdm(total=config.steps, desc=name, leave=False, disable=not shown, file=sys.stderr)
    with bar, stopped_gently(processes.count) as asked:
        for step in steps:
            bar.update(step.step - bar.n)
            latest = step.figures
            if processes.main and (step.step % config.evaluate_every == 0 or step.step in (1, config.steps)):
                figures = ", ".join(f"{name} {value:.4g}" for name, value in latest.items())
                bar.write(f"step {step.step} of {step.total}: {figures}", file=sys.stderr)
            if processes.any(bool(asked)):
                steps.close()
                leave(asked[0] if asked else signal.SIGTERM, step.step)
        if processes.any(bool(asked)):  # it came behind the last step, while the model was written
            leave(asked[0] if asked else signal.SIGTERM, config.steps)
    return latest


@contextmanager
def stopped_gently(processes: int = 1) -> Iterator[list[int]]:
    """The signal that asks for an end, Ctrl-C's or SIGTERM, once it has come; a second one ends the process at once.

    That does no harm: a run can be killed at any moment. Of several processes none is ended by a second signal, for
    torchrun hands on what its terminal has sent them already; it ends them itself when its own patience does.
    """
    asked: list[int] = []

    def note(number: int, _: Any) -> None:
        asked.append(number)
        if processes > 1:
            return
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        os.write(2, b"safelight: saving after this step; once more leaves at once.\n")  # print is not for handlers

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def leave(number: int, step: int) -> None:
    """Go as the signal asks, now that all is saved."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    print(f"safelight: terminated; step {step} is saved.", file=sys.stderr)
    raise SystemExit(TERMINATED)
