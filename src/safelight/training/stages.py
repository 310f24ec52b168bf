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
    from safelight.training.recipe import (
        AutoencoderRecipe,
        ClassifierRecipe,
        ClipRecipe,
        ControlNetRecipe,
        DecoderRecipe,
        DiffusionRecipe,
        DistillRecipe,
        EmbeddingRecipe,
        FinetuneRecipe,
        LoRARecipe,
        RestyleRecipe,
        RewordRecipe,
        SketchRecipe,
    )


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

    does: what `--help` says. needs: the fields of `Inputs` that it reads. spares: those of them that it does without
    under a recipe. leaves: what it makes in the run's folder. task: its network with its data. or_model: it can start
    from a whole model in place of earlier stages, and then leaves a whole model. of_few: a handful of pictures is
    enough for it, of which none is held out.
    """

    does: str
    needs: tuple[str, ...]
    leaves: str
    task: Callable[[Inputs, Any, list[Record]], Task[Any]]
    spares: Callable[[Any], tuple[str, ...]] = lambda recipe: ()
    or_model: bool = False
    of_few: bool = False


def autoencoder_task(inputs: Inputs, recipe: AutoencoderRecipe, records: list[Record]) -> Task[Any]:
    """Pictures to latents and back."""
    from safelight.training.autoencoder.task import AutoencoderTask

    return AutoencoderTask(recipe.network, recipe.loss, records)


def clip_task(inputs: Inputs, recipe: ClipRecipe, records: list[Record]) -> Task[Any]:
    """CLIP; its tokenizer is learnt before the first step."""
    from safelight.training.clip.task import ClipTask, tokenizer_of_run

    inputs.begin()
    tokenizer = tokenizer_of_run(inputs.out, records, recipe.data, length=recipe.text.length)
    return ClipTask(recipe.text, recipe.image, recipe.data, recipe.loss, records, tokenizer)


def sketch_task(inputs: Inputs, recipe: SketchRecipe, records: list[Record]) -> Task[Any]:
    """The text encoder of a CLIP or of a whole model, which foretells latents."""
    from safelight.training.diffusion.new_model import check_finished
    from safelight.training.sketch.start import from_model, sketch_task_of

    if inputs.model is not None:
        return from_model(inputs, inputs.model, recipe, records)
    assert inputs.autoencoder is not None
    assert inputs.clip is not None
    check_finished(inputs.autoencoder, inputs.clip)
    inputs.begin()
    return sketch_task_of(inputs.autoencoder, inputs.clip, recipe, records, inputs.out)


def diffusion_task(inputs: Inputs, recipe: DiffusionRecipe, records: list[Record]) -> Task[Any]:
    """A new UNet; the pictures are encoded before the first step."""
    from safelight.training.captions import with_caption
    from safelight.training.diffusion.new_model import new_parts
    from safelight.training.diffusion.task import task_of_model
    from safelight.training.sketch.following import check_followed, task_that_follows

    parts = new_parts(recipe, inputs.autoencoder, inputs.clip)
    check_followed(recipe.following, parts, recipe.objective, recipe.data, recipe.model)
    inputs.begin()
    found = with_caption(records, recipe.data.caption)
    make = task_that_follows(recipe.following)
    return task_of_model(parts, recipe.objective, recipe.data, found, inputs.out, recipe.model, make)


def decoder_task(inputs: Inputs, recipe: DecoderRecipe, records: list[Record]) -> Task[Any]:
    """The decoder of a whole model; its UNet redraws pictures before the first step."""
    from safelight.training.decoder import task

    return task.decoder_task(inputs, recipe, records)


def restyle_task(inputs: Inputs, recipe: RestyleRecipe, records: list[Record]) -> Task[Any]:
    """What turns drawings into another style; the pictures are encoded before the first step."""
    from safelight.training.restyling import task

    return task.restyle_task(inputs, recipe, records)


def reword_task(inputs: Inputs, recipe: RewordRecipe, records: list[Record]) -> Task[Any]:
    """The text encoder of a whole model, which reads other words for what it knows."""
    from safelight.training.rewording import task

    return task.reword_task(inputs, recipe, records)


def classifier_task(inputs: Inputs, recipe: ClassifierRecipe, records: list[Record]) -> Task[Any]:
    """The judge of what a model draws."""
    from safelight.training.classifier.task import ClassifierTask

    return ClassifierTask(recipe.network, recipe.data, recipe.variation, recipe.loss, records)


def distill_task(inputs: Inputs, recipe: DistillRecipe, records: list[Record]) -> Task[Any]:
    """A student beside its teacher; the teacher draws before the first step."""
    import torch

    from safelight.opening import open_model
    from safelight.training.distillation.task import distillation_task

    parts, _ = open_model(inputs.model, torch.float32)
    inputs.begin()
    return distillation_task(parts, recipe, records, inputs.out)


def finetune_task(inputs: Inputs, recipe: FinetuneRecipe, records: list[Record]) -> Task[Any]:
    """All of a model that exists."""
    from safelight.training.finetuning import tasks

    return tasks.finetune_task(inputs, recipe, records)


def lora_task(inputs: Inputs, recipe: LoRARecipe, records: list[Record]) -> Task[Any]:
    """Low-rank updates beside a model that exists."""
    from safelight.training.finetuning import tasks

    return tasks.lora_task(inputs, recipe, records)


def embedding_task(inputs: Inputs, recipe: EmbeddingRecipe, records: list[Record]) -> Task[Any]:
    """The vectors of a new word."""
    from safelight.training.finetuning import tasks

    return tasks.embedding_task(inputs, recipe, records)


def controlnet_task(inputs: Inputs, recipe: ControlNetRecipe, records: list[Record]) -> Task[Any]:
    """A network beside a UNet that exists."""
    from safelight.training.finetuning import tasks

    return tasks.controlnet_task(inputs, recipe, records)


def spared_by_diffusion(recipe: DiffusionRecipe) -> tuple[str, ...]:
    """The earlier stages that a kind of model does without."""
    from safelight.training.diffusion.settings import READING

    autoencoder = ("autoencoder",) if recipe.data.space == "pixels" else ()
    return autoencoder if recipe.data.kind in READING else (*autoencoder, "clip")


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
    "sketch": Stage(
        does="let CLIP's text encoder foretell pictures, so that diffusion learns many words quickly",
        needs=("data", "autoencoder", "clip"),
        leaves="clip",
        task=sketch_task,
        or_model=True,
    ),
    "diffusion": Stage(
        does="learn to draw: the UNet, on top of the other two",
        needs=("data", "autoencoder", "clip"),
        leaves="model",
        task=diffusion_task,
        spares=spared_by_diffusion,
    ),
    "decoder": Stage(
        does="let a model's decoder learn to paint what its UNet draws; its latents stay as they are",
        needs=("data", "model"),
        leaves="model",
        task=decoder_task,
    ),
    "restyle": Stage(
        does="draw a collection's things in the styles that nobody drew them in, and write a shard of these pictures",
        needs=("data", "model"),
        leaves="restyled.tar",
        task=restyle_task,
    ),
    "reword": Stage(
        does="let a model's text encoder read other words than its captions' for what it can draw",
        needs=("data", "model"),
        leaves="model",
        task=reword_task,
    ),
    "classifier": Stage(
        does="learn to tell concepts and styles: the judge of what a model draws",
        needs=("data",),
        leaves="classifier",
        task=classifier_task,
    ),
    "distill": Stage(
        does="learn to draw in a few steps what another model draws in many",
        needs=("data", "model"),
        leaves="model",
        task=distill_task,
    ),
    "finetune": Stage(
        does="go on training a whole model on pictures of your own",
        needs=("data", "model"),
        leaves="model",
        task=finetune_task,
        of_few=True,
    ),
    "lora": Stage(
        does="teach a model something new in a small file beside it",
        needs=("data", "model"),
        leaves="lora",
        task=lora_task,
        of_few=True,
    ),
    "embedding": Stage(
        does="teach a model a word for something that it can draw (textual inversion)",
        needs=("data", "model"),
        leaves="embedding",
        task=embedding_task,
        of_few=True,
    ),
    "controlnet": Stage(
        does="learn to let a picture steer what a model draws",
        needs=("data", "model"),
        leaves="controlnet",
        task=controlnet_task,
        of_few=True,
    ),
}


def check_inputs(name: str, inputs: Inputs, recipe: Any) -> None:
    """Raise BadInput that names an input which the stage of that name needs under its recipe and was not given."""
    spared = STAGES[name].spares(recipe)
    stage = STAGES[name]
    if stage.or_model and inputs.model is not None:
        earlier = [need for need in stage.needs if need != "data" and getattr(inputs, need) is not None]
        if earlier:
            raise BadInput(f"--model and --{earlier[0]} are given; `safelight train {name}` starts from one of them.")
        spared = stage.needs[1:]
    for need in stage.needs:
        if need not in spared and getattr(inputs, need) is None:
            raise BadInput(f"--{need} is missing; `safelight train {name}` needs it.")


def task_of(name: str, inputs: Inputs, recipe: Any, records: list[Record]) -> Task[Any]:
    """The task of the stage of that name, with its first weights drawn from the seed of its loop."""
    import torch

    torch.manual_seed(recipe.loop.seed)
    return STAGES[name].task(inputs, recipe, records)
