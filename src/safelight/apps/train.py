"""`safelight train autoencoder|clip|diffusion`: one stage of training, resumed where it was left."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from safelight.apps.terminal import add_json_argument, answer
from safelight.errors import BadInput

if TYPE_CHECKING:
    from safelight.training.collection import Record
    from safelight.training.recipe import AutoencoderRecipe, ClipRecipe, DiffusionRecipe
    from safelight.training.settings import LoopConfig
    from safelight.training.task import Task

STAGES = {
    "autoencoder": "learn to turn pictures into latents and back",
    "clip": "learn which captions belong to which pictures, and the tokenizer",
    "diffusion": "learn to draw: the UNet, on top of the other two",
}
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
    task = task_of(arguments, recipe)
    figures = turn(task, recipe.loop, arguments.out, to_toml(recipe, stage))
    left = arguments.out / LEFT[stage]
    answer(arguments, {"run": str(arguments.out), "left": str(left), "figures": figures}, [f"Done: {left}"])


def task_of(arguments: argparse.Namespace, recipe: Any) -> Task[Any]:
    """The stage's network with its data."""
    import torch

    from safelight.training.collection import open_collection

    records = open_collection(arguments.data, recipe.where)
    torch.manual_seed(recipe.loop.seed)
    return TASKS[arguments.stage](arguments, recipe, records)


def autoencoder_task(arguments: argparse.Namespace, recipe: AutoencoderRecipe, records: list[Record]) -> Task[Any]:
    """The task of the first stage."""
    from safelight.training.autoencoder import AutoencoderTask

    return AutoencoderTask(recipe.network, recipe.loss, records)


def clip_task(arguments: argparse.Namespace, recipe: ClipRecipe, records: list[Record]) -> Task[Any]:
    """The task of the second stage; the tokenizer is learnt before the first step."""
    from safelight.training.clip import ClipTask, tokenizer_of_run

    make_folder(arguments.out)
    tokenizer = tokenizer_of_run(arguments.out, records, recipe.data, length=recipe.text.length)
    return ClipTask(recipe.text, recipe.image, recipe.data, records, tokenizer)


def diffusion_task(arguments: argparse.Namespace, recipe: DiffusionRecipe, records: list[Record]) -> Task[Any]:
    """The task of the third stage; the pictures are encoded before the first step."""
    from safelight.training.diffusion import DiffusionTask, parts_to_train

    parts = parts_to_train(
        arguments.autoencoder, arguments.clip, recipe.network, recipe.schedule, device=recipe.loop.device
    )
    make_folder(arguments.out)
    return DiffusionTask(parts, recipe.data, records, arguments.out)


TASKS: dict[str, Callable[[argparse.Namespace, Any, list[Record]], Task[Any]]] = {
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


def turn(task: Task[Any], config: LoopConfig, folder: Path, recipe: str) -> dict[str, float]:
    """Train to the end, with a bar on a terminal and a line for each evaluation; returns the last figures.

    Ctrl-C stops after the step that is under way, and saves.
    """
    from tqdm import tqdm

    from safelight.training.loop import train

    make_folder(folder)
    steps = train(task, config, folder)
    (folder / "recipe.toml").write_text(recipe, "utf-8")
    latest: dict[str, float] = {}
    bar = tqdm(total=config.steps, desc="step", leave=False, disable=not sys.stderr.isatty(), file=sys.stderr)
    with bar, interrupted_gently() as interrupted:
        for step in steps:
            bar.update(step.step - bar.n)
            latest = step.figures
            if step.step % config.evaluate_every == 0 or step.step in (1, config.steps):
                figures = ", ".join(f"{name} {value:.4g}" for name, value in latest.items())
                bar.write(f"step {step.step} of {step.total}: {figures}", file=sys.stderr)
            if interrupted.is_set():
                steps.close()
                raise KeyboardInterrupt
    return latest


@contextmanager
def interrupted_gently() -> Iterator[Event]:
    """An event that the first Ctrl-C sets; the second one interrupts at once."""
    event = Event()

    def note(*_: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
