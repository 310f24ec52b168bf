"""`safelight train autoencoder|clip|diffusion`: one stage of training, resumed where it was left."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.apps.terminal import progress
from safelight.errors import BadInput

if TYPE_CHECKING:
    from safelight.training.settings import LoopConfig

STAGES = {
    "autoencoder": "learn to turn pictures into latents and back",
    "clip": "learn which captions belong to which pictures, and the tokenizer",
    "diffusion": "learn to draw: the UNet, on top of the other two",
}


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
        stage.set_defaults(run=run, stage=name)


def run(arguments: argparse.Namespace) -> None:
    """Read the recipe, make the task, and turn the loop."""
    from safelight.training.recipe import read_recipe, to_toml

    changes = [f"{arguments.stage}.{change}" for change in arguments.set]
    recipe = getattr(read_recipe(arguments.recipe, changes), arguments.stage)
    if arguments.print_config:
        print(to_toml(recipe), end="")
        return
    needed = ("data", "out", "autoencoder", "clip") if arguments.stage == "diffusion" else ("data", "out")
    for name in needed:
        if getattr(arguments, name) is None:
            raise BadInput(f"--{name} is missing; `safelight train {arguments.stage}` needs it.")
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "recipe.toml").write_text(to_toml(recipe), "utf-8")
    turn(task_of(arguments, recipe), recipe.loop, arguments.out)


def task_of(arguments: argparse.Namespace, recipe: Any) -> Any:
    """The stage's network with its data."""
    import torch

    from safelight.training.collection import open_collection

    records = open_collection(arguments.data, recipe.where)
    torch.manual_seed(recipe.loop.seed)
    if arguments.stage == "autoencoder":
        from safelight.training.autoencoder import AutoencoderTask

        return AutoencoderTask(recipe.network, recipe.loss, records)
    if arguments.stage == "clip":
        from safelight.training.clip import ClipTask

        return ClipTask(recipe.text, recipe.image, recipe.data, records)
    from safelight.training.diffusion import DiffusionTask, parts_to_train

    parts = parts_to_train(arguments.autoencoder, arguments.clip, recipe.network, recipe.schedule)
    return DiffusionTask(parts, recipe.data, records, arguments.out)


def turn(task: Any, config: LoopConfig, folder: Path) -> None:
    """Train to the end, with a bar on a terminal and a line for each evaluation."""
    from safelight.training.loop import train

    for step in progress(train(task, config, folder), config.steps, "step"):
        if step.step % config.evaluate_every == 0 or step.step in (1, config.steps):
            figures = ", ".join(f"{name} {value:.4g}" for name, value in step.figures.items())
            print(f"step {step.step} of {step.total}: {figures}", file=sys.stderr, flush=True)
