"""Every kind of training by name: what it needs, what it leaves, and how its task is made.

Nothing heavy is imported before a task is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.errors import BadInput
from safelight.training.engine.lock import Claim

if TYPE_CHECKING:
    from safelight.data.collection import Record
    from safelight.training.engine.task import Task
    from safelight.training.recipe import AutoencoderRecipe, ClassifierRecipe, ClipRecipe, DiffusionRecipe


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a run is given beside its recipe; None is what was not given.

    out: its folder. data: the training pictures. autoencoder, clip: the runs of earlier stages. model: the model to
    start from, as `safelight.load` takes it; "bundled" is the bundled one.
    """

    out: Path
    claim: Claim
    data: Path | None = None
    autoencoder: Path | None = None
    clip: Path | None = None
    model: str | None = None

    def begin(self) -> None:
        """Make the run's folder and claim it, before anything is written there; raises BadInput where that fails."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"--out {str(self.out)!r} cannot be made a folder: {error.strerror}.") from error
        self.claim.take()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One kind of training.

    does: what `--help` says. needs: the fields of `Inputs` that it cannot do without. leaves: what it makes in the
    run's folder. task: its network with its data.
    """

    does: str
    needs: tuple[str, ...]
    leaves: str
    task: Callable[[Inputs, Any, list[Record]], Task[Any]]


def autoencoder_task(inputs: Inputs, recipe: AutoencoderRecipe, records: list[Record]) -> Task[Any]:
    """Pictures to latents and back."""
    from safelight.training.autoencoder.task import AutoencoderTask

    return AutoencoderTask(recipe.network, recipe.loss, records)


def clip_task(inputs: Inputs, recipe: ClipRecipe, records: list[Record]) -> Task[Any]:
    """CLIP; its tokenizer is learnt before the first step."""
    from safelight.training.clip.task import ClipTask, tokenizer_of_run

    inputs.begin()
    tokenizer = tokenizer_of_run(inputs.out, records, recipe.data, length=recipe.text.length)
    return ClipTask(recipe.text, recipe.image, recipe.data, records, tokenizer)


def diffusion_task(inputs: Inputs, recipe: DiffusionRecipe, records: list[Record]) -> Task[Any]:
    """A new UNet; the pictures are encoded before the first step."""
    from safelight.training.diffusion.task import parts_to_train, text_to_image_task

    assert inputs.autoencoder is not None
    assert inputs.clip is not None
    parts = parts_to_train(inputs.autoencoder, inputs.clip, recipe.network, recipe.schedule, device=recipe.loop.device)
    inputs.begin()
    return text_to_image_task(parts, recipe.objective, recipe.data, records, inputs.out)


def classifier_task(inputs: Inputs, recipe: ClassifierRecipe, records: list[Record]) -> Task[Any]:
    """The judge of what a model draws."""
    from safelight.training.classifier.task import ClassifierTask

    return ClassifierTask(recipe.network, recipe.data, recipe.variation, recipe.loss, records)


STAGES: dict[str, Stage] = {
    "autoencoder": Stage(
        does="learn to turn pictures into latents and back", needs=("data",), leaves="vae", task=autoencoder_task
    ),
    "clip": Stage(
        does="learn which captions belong to which pictures, and the tokenizer",
        needs=("data",),
        leaves="clip",
        task=clip_task,
    ),
    "diffusion": Stage(
        does="learn to draw: the UNet, on top of the other two",
        needs=("data", "autoencoder", "clip"),
        leaves="model",
        task=diffusion_task,
    ),
    "classifier": Stage(
        does="learn to tell concepts and styles: the judge of what a model draws",
        needs=("data",),
        leaves="classifier",
        task=classifier_task,
    ),
}


def check_inputs(name: str, inputs: Inputs) -> None:
    """Raise BadInput that names an input which the stage of that name needs and was not given."""
    for need in STAGES[name].needs:
        if getattr(inputs, need) is None:
            raise BadInput(f"--{need} is missing; `safelight train {name}` needs it.")


def task_of(name: str, inputs: Inputs, recipe: Any, records: list[Record]) -> Task[Any]:
    """The task of the stage of that name, with its first weights drawn from the seed of its loop."""
    import torch

    torch.manual_seed(recipe.loop.seed)
    return STAGES[name].task(inputs, recipe, records)
