"""`safelight train autoencoder|clip|diffusion`: one stage of training, resumed where it was left."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.apps.terminal import add_json_argument, answer
from safelight.errors import BadInput

if TYPE_CHECKING:
    from safelight.data.collection import Record
    from safelight.training.engine.lock import Claim
    from safelight.training.engine.settings import LoopConfig
    from safelight.training.engine.task import Task
    from safelight.training.recipe import AutoencoderRecipe, ClipRecipe, DiffusionRecipe

STAGES = {
    "autoencoder": "learn to turn pictures into latents and back",
    "clip": "learn which captions belong to which pictures, and the tokenizer",
    "diffusion": "learn to draw: the UNet, on top of the other two",
}
TERMINATED = 128 + signal.SIGTERM  # the exit code of a process that this signal ended
LEFT = {"autoencoder": "vae", "clip": "clip", "diffusion": "model"}  # the folder that each stage makes in its run's


def add_to(commands: Any) -> None:
    """The arguments of the command."""
    command = commands.add_parser("train", help="train a part of a model, or go on training it")
    stages = command.add_subparsers(title="stages", metavar="STAGE", required=True)
    for name, what in STAGES.items():
        stage = stages.add_parser(name, help=what)
        stage.add_argument("--recipe", default="tiny", metavar="R", help="name or TOML file (default: %(default)s)")
        stage.add_argument("--data", type=Path, metavar="F", help="folder of captioned pictures or of .tar shards")
        stage.add_argument("--out", type=Path, metavar="RUN", help="folder of the run; one that has begun goes on")
        stage.add_argument(
            "--set", action="append", default=[], metavar="X=V", help="change one field, e.g. loop.steps=50"
        )
        stage.add_argument("--print-config", action="store_true", help="print the whole configuration and stop")
        if name == "diffusion":
            stage.add_argument("--autoencoder", type=Path, metavar="RUN", help="run of the first stage")
            stage.add_argument("--clip", type=Path, metavar="RUN", help="run of the second stage")
        add_json_argument(stage)
        stage.set_defaults(run=run, stage=name)


def run(arguments: argparse.Namespace) -> None:
    """Read the recipe, make the task, and turn the loop."""
    from safelight.training.engine.lock import Claim
    from safelight.training.recipe import read_recipe, to_toml

    stage = arguments.stage
    changes = [change if change.startswith(f"{stage}.") else f"{stage}.{change}" for change in arguments.set]
    recipe = getattr(read_recipe(arguments.recipe, changes), stage)
    if arguments.print_config:
        print(to_toml(recipe, stage), end="")
        return
    for name in ("data", "out", "autoencoder", "clip") if stage == "diffusion" else ("data", "out"):
        if getattr(arguments, name) is None:
            raise BadInput(f"--{name} is missing; `safelight train {stage}` needs it.")
    with Claim(arguments.out) as claim:
        task = task_of(arguments, recipe, claim)
        figures = turn(task, recipe.loop, arguments.out, claim, to_toml(recipe, stage))
    left = arguments.out / LEFT[stage]
    answer(arguments, {"run": str(arguments.out), "left": str(left), "figures": figures}, [f"Done: {left}"])


def task_of(arguments: argparse.Namespace, recipe: Any, claim: Claim) -> Task[Any]:
    """The stage's network with its data; the run's folder is claimed before anything is written there."""
    import torch

    from safelight.data.collection import open_collection

    records = open_collection(arguments.data, recipe.where)
    torch.manual_seed(recipe.loop.seed)
    return TASKS[arguments.stage](arguments, recipe, records, claim)


def autoencoder_task(
    arguments: argparse.Namespace, recipe: AutoencoderRecipe, records: list[Record], claim: Claim
) -> Task[Any]:
    """The task of the first stage."""
    from safelight.training.autoencoder.task import AutoencoderTask

    return AutoencoderTask(recipe.network, recipe.loss, records)


def clip_task(arguments: argparse.Namespace, recipe: ClipRecipe, records: list[Record], claim: Claim) -> Task[Any]:
    """The task of the second stage; the tokenizer is learnt before the first step."""
    from safelight.training.clip.task import ClipTask, tokenizer_of_run

    make_folder(arguments.out)
    claim.take()
    tokenizer = tokenizer_of_run(arguments.out, records, recipe.data, length=recipe.text.length)
    return ClipTask(recipe.text, recipe.image, recipe.data, records, tokenizer)


def diffusion_task(
    arguments: argparse.Namespace, recipe: DiffusionRecipe, records: list[Record], claim: Claim
) -> Task[Any]:
    """The task of the third stage; the pictures are encoded before the first step."""
    from safelight.training.diffusion.task import DiffusionTask, parts_to_train

    parts = parts_to_train(
        arguments.autoencoder, arguments.clip, recipe.network, recipe.schedule, device=recipe.loop.device
    )
    make_folder(arguments.out)
    claim.take()
    return DiffusionTask(parts, recipe.data, records, arguments.out)


TASKS: dict[str, Callable[[argparse.Namespace, Any, list[Record], Claim], Task[Any]]] = {
    "autoencoder": autoencoder_task,
    "clip": clip_task,
    "diffusion": diffusion_task,
}


def make_folder(folder: Path) -> None:
    """The folder of a run; raises BadInput where none can be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {str(folder)!r} cannot be made a folder: {error.strerror}.") from error


def turn(task: Task[Any], config: LoopConfig, folder: Path, claim: Claim, recipe: str) -> dict[str, float]:
    """Train to the end, with a bar on a terminal and a line for each evaluation; returns the last figures.

    Ctrl-C and SIGTERM stop after the step that is under way, and save.
    """
    from tqdm import tqdm

    from safelight.training.engine.loop import train
    from safelight.weights.files import beside

    make_folder(folder)
    steps = train(task, config, folder, claim)
    with beside(folder / "recipe.toml") as partial:
        partial.write_text(recipe, "utf-8")
    latest: dict[str, float] = {}
    bar = tqdm(total=config.steps, desc="step", leave=False, disable=not sys.stderr.isatty(), file=sys.stderr)
    with bar, stopped_gently() as asked:
        for step in steps:
            bar.update(step.step - bar.n)
            latest = step.figures
            if step.step % config.evaluate_every == 0 or step.step in (1, config.steps):
                figures = ", ".join(f"{name} {value:.4g}" for name, value in latest.items())
                bar.write(f"step {step.step} of {step.total}: {figures}", file=sys.stderr)
            if asked:
                steps.close()
                leave(asked[0], step.step)
    return latest


@contextmanager
def stopped_gently() -> Iterator[list[int]]:
    """The signal that asks for an end, Ctrl-C's or SIGTERM, once it has come; a second one ends the process at once.

    That does no harm: a run can be killed at any moment.
    """
    asked: list[int] = []

    def note(number: int, _: Any) -> None:
        asked.append(number)
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
