"""The task of each way to fine-tune: what learns, what it is shown, and on which pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.data.record import Record
from safelight.errors import BadInput
from safelight.training.captions import with_caption, with_captions
from safelight.training.diffusion.kinds import shown_of
from safelight.training.diffusion.learner import Learner, UNetAndText, WholeUNet
from safelight.training.diffusion.settings import ObjectiveConfig
from safelight.training.diffusion.shown import ShownText
from safelight.training.diffusion.task import DiffusionTask
from safelight.training.finetuning.control import LearntControl
from safelight.training.finetuning.control_task import ControlTask
from safelight.training.finetuning.hints import ShownHint, check_hints
from safelight.training.finetuning.lora import LearntLoRA
from safelight.training.finetuning.notes import notes
from safelight.training.finetuning.prior import FOLDER as PRIOR
from safelight.training.finetuning.prior import PriorTask, prior_records
from safelight.training.finetuning.settings import PriorConfig
from safelight.training.finetuning.start import Start, check_draws_from_text, check_same_start, open_start
from safelight.training.finetuning.word import LearntWord
from safelight.training.sketch.following import check_followed, task_that_follows

if TYPE_CHECKING:
    from safelight.training.engine.task import Task
    from safelight.training.recipe import ControlNetRecipe, EmbeddingRecipe, FinetuneRecipe, LoRARecipe
    from safelight.training.stages import Inputs


def finetune_task(inputs: Inputs, recipe: FinetuneRecipe, records: list[Record]) -> Task[Any]:
    """A whole model goes on learning: its UNet, or its text encoder too."""
    start = open_start(model_of(inputs), recipe.loop.device)
    found = with_caption(records, recipe.data.caption)
    shown = shown_of(start.parts, recipe.data, found)
    check_followed(recipe.following, start.parts, recipe.objective, recipe.data, recipe.model)
    enter(inputs, start)
    drawn = drawn_before(start, recipe.prior, inputs.out, recipe.loop.device)
    learner: Learner = UNetAndText(start.parts) if recipe.model.text_encoder else WholeUNet(start.parts)
    learner.network.requires_grad_(True)
    make = task_that_follows(recipe.following)
    own = make(learner, shown, recipe.objective, recipe.data, found, inputs.out)
    return beside_prior(own, recipe.prior, recipe.objective, drawn, inputs.out)


def lora_task(inputs: Inputs, recipe: LoRARecipe, records: list[Record]) -> Task[Any]:
    """A LoRA learns beside a model that stays as it is."""
    start = open_start(model_of(inputs), recipe.loop.device, recipe.adapter.frozen)
    found = with_caption(records, recipe.data.caption)
    shown = shown_of(start.parts, recipe.data, found)
    enter(inputs, start)
    drawn = drawn_before(start, recipe.prior, inputs.out, recipe.loop.device)
    learner = LearntLoRA(start.parts, recipe.adapter, notes(start, recipe.adapter, found))
    own = DiffusionTask(learner, shown, recipe.objective, recipe.data, found, inputs.out)
    return beside_prior(own, recipe.prior, recipe.objective, drawn, inputs.out)


def embedding_task(inputs: Inputs, recipe: EmbeddingRecipe, records: list[Record]) -> Task[Any]:
    """A word learns what it means; the captions of the pictures are not read."""
    start = open_start(model_of(inputs), recipe.loop.device, recipe.word.frozen)
    check_draws_from_text(start, "a word")
    learner = LearntWord(start.parts, recipe.word)
    captions = [template.format(word=recipe.word.word) for template in recipe.word.templates]
    found = with_captions(records, captions)
    enter(inputs, start)
    return DiffusionTask(learner, ShownText(recipe.data), recipe.objective, recipe.data, found, inputs.out)


def controlnet_task(inputs: Inputs, recipe: ControlNetRecipe, records: list[Record]) -> Task[Any]:
    """A ControlNet learns to steer a model that stays as it is."""
    start = open_start(model_of(inputs), recipe.loop.device, recipe.control.frozen)
    check_draws_from_text(start, "a ControlNet")
    found = with_caption(records, recipe.data.caption)
    check_hints(found, recipe.control.hint)
    shown = ShownHint(shown_of(start.parts, recipe.data, found), recipe.control.hint)
    learner = LearntControl(start.parts)
    enter(inputs, start)
    return ControlTask(learner, shown, recipe.objective, recipe.data, found, inputs.out)


def model_of(inputs: Inputs) -> str:
    """The name of the model to start from; raises BadInput where none is given."""
    if inputs.model is None:
        raise BadInput("--model is missing; a fine-tuning starts from a model.")
    return inputs.model


def enter(inputs: Inputs, start: Start) -> None:
    """Make the run's folder; raises BadInput where the run in it began with another model."""
    inputs.begin()
    check_same_start(inputs.out, start)


def drawn_before(start: Start, prior: PriorConfig, folder: Path, device: str) -> list[Record]:
    """What the model draws of the class before anything is attached to it; nothing where no prompt names a class."""
    if not prior.prompt:
        return []
    check_draws_from_text(start, "prior.prompt")
    return prior_records(start, prior, folder, device)


def beside_prior(
    own: DiffusionTask, prior: PriorConfig, objective: ObjectiveConfig, drawn: list[Record], folder: Path
) -> Task[Any]:
    """The task of the own pictures, together with that of those drawn before, if there are any."""
    if not drawn:
        return own
    data = replace(own.data, scene_share=0.0)  # nothing that was drawn is cut out
    others = DiffusionTask(own.learner, own.shown, objective, data, drawn, folder / PRIOR)
    return PriorTask(own, others, prior.weight)
