"""Distillation as a training task: a student that is asked and judged as one of the methods says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from safelight.data.collection import Record, check_captions, split_up
from safelight.diffusion.plan import plan
from safelight.diffusion.schedule import Schedule
from safelight.errors import BadInput
from safelight.images import grid
from safelight.opening import fingerprint
from safelight.pipeline import Pipeline
from safelight.placement import placement_for
from safelight.training.captions import with_caption
from safelight.training.diffusion.seen import Seen
from safelight.training.diffusion.views import framing_of
from safelight.training.distillation.consistency import Guided
from safelight.training.distillation.lessons import LESSONS, Lesson
from safelight.training.distillation.pictures import Pictures, captions_of
from safelight.training.distillation.student import BesideTeacher, OwnUNet, Student
from safelight.training.distillation.teacher import Teacher
from safelight.training.distillation.walk import GRID, SAMPLER, Walk, walk
from safelight.training.distillation.ways import Terms, Ways, walked
from safelight.training.engine.loop import autocast
from safelight.training.engine.noise import SampleNoise
from safelight.training.engine.settings import LoopConfig
from safelight.training.prepared import AT_ONCE
from safelight.training.recipe import DistillRecipe
from safelight.weights import Parts


class Samples(Protocol):
    """Training samples: how many, a hash that tells them from others, and each of them with its random choices.

    buckets: the number of each sample's shape; None where all have one.
    """

    @property
    def size(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def buckets(self) -> list[int] | None: ...
    def sample(self, index: int, random: Random) -> dict[str, Any]: ...


class DistillationTask:
    """A student beside its teacher; see `training.engine.task.Task`.

    truth: ways of the teacher from noise that is not trained on; the student's pictures are compared with their ends.
    """

    def __init__(self, teacher: Teacher, lesson: Lesson, samples: Samples, truth: Ways, recipe: DistillRecipe) -> None:
        self.teacher = teacher
        self.lesson = lesson
        self.samples = samples
        self.truth = truth
        self.recipe = recipe
        self.student = student_for(teacher.parts, lesson, recipe)
        self.size = samples.size
        self.buckets = samples.buckets
        self.fingerprint = f"{samples.fingerprint} {fingerprint(teacher.parts)}"

    @property
    def network(self) -> nn.Module:
        """What learns: the student's UNet, or its LoRA."""
        return self.student.network

    @property
    def frozen(self) -> Sequence[nn.Module]:
        """The teacher's UNet, and that which a LoRA learns beside."""
        return [self.teacher.parts.unet, *self.student.frozen]

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A noisy place or a latent, with a caption."""
        return self.samples.sample(index, random)

    def loss(self, batch: dict[str, Any], noise: SampleNoise) -> dict[str, Tensor]:
        """How far the student is off, as the method counts it."""
        context = self._read(batch["caption"])
        answers = self._answers(context), self._guided(context)
        return {"loss": self.lesson.errors(*answers, batch, noise).mean()}

    def evaluate(self) -> dict[str, float]:
        """The distance of the student's pictures from the teacher's, drawn from the same noise.

        It is the root of the mean square of the latents' difference, which is about 1.4 for pictures that have nothing
        to do with each other.
        """
        truth = self.truth.first()
        start, end, guidance = (truth[name].to(self._device) for name in ("start", "end", "guidance"))
        found = self.lesson.drawn(self._answers(self._read(truth["caption"])), start, guidance)
        return {"distance": float((found - end).square().mean().sqrt())}

    def sheet(self) -> Image.Image | None:
        """One picture for each prompt of the configuration, the same seeds each time."""
        prompts = list(self.recipe.data.prompts)
        if not prompts:
            return None
        settings = self.recipe.distill
        middle = (settings.lowest_guidance + settings.highest_guidance) / 2
        drawn = Pipeline(self.student.parts, placement=placement_for(str(self._device), "float32"))(
            prompts,
            seed=0,
            guidance_scale=middle if settings.learner == "unet" else 1.0,
        )
        return grid(drawn.images)

    def export(self, folder: Path) -> None:
        """Write the whole model into `folder/model`."""
        self.student.export(folder)

    def _read(self, captions: Sequence[str]) -> Tensor:
        return self.teacher.read(captions).to(self._device)

    def _answers(self, context: Tensor) -> Guided:
        """What the student predicts for those captions."""
        return lambda x, t, scale: self.student.answer(x, t, context, scale)

    def _guided(self, context: Tensor) -> Guided:
        """What the teacher predicts for them."""
        return lambda x, t, scale: self.teacher.predict(x, t, context, scale)

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device


def student_for(teacher: Parts, lesson: Lesson, recipe: DistillRecipe) -> Student:
    """The student that the recipe asks for; raises BadInput where it cannot be such a LoRA."""
    settings = recipe.distill
    if settings.learner == "unet":
        return OwnUNet(teacher, settings.guidance_width, lesson.sampler)
    if teacher.unet.config.guidance_width:
        raise BadInput('This teacher is told its guidance scale, and so must its student be: distill.learner = "unet".')
    form, frozen, layers = recipe.adapter.form, recipe.adapter.frozen, recipe.adapter.layers
    if (form, frozen) != ("diffusers", "fp32") or "text_encoder" in layers:
        raise BadInput(
            f'adapter is of form "{form}", frozen "{frozen}" and layers {list(layers)}; what draws in few steps is a '
            'LoRA of the UNet alone: form "diffusers", frozen "fp32", and "text_encoder" not among the layers.'
        )
    notes = {"safelight.model": fingerprint(teacher), "safelight.distill": json.dumps(asdict(settings))}
    return BesideTeacher(teacher, recipe.adapter, lesson.sampler, notes, settings.go_on)


def distillation_task(parts: Parts, recipe: DistillRecipe, records: list[Record], folder: Path) -> DistillationTask:
    """The task of a student of the model `parts`; the run's `folder` keeps what is prepared.

    Raises BadInput where the model cannot be distilled as the recipe says.
    """
    records = with_caption(records, recipe.data.caption)
    check_captions(records)
    teacher, settings = Teacher(parts, recipe.loop.device), recipe.distill
    lesson = LESSONS[settings.method](Schedule(parts.schedule), settings)
    training, _ = split_up(records)
    side = parts.unet.config.sample_size

    def ways(count: int, seed: int, place: Path) -> Ways:
        terms = Terms(
            teacher=fingerprint(parts),
            steps=settings.grid,
            guidance=(settings.lowest_guidance, settings.highest_guidance),
            steered=(settings.guidance_start, settings.guidance_end),
            shape=(parts.autoencoder.config.latent_channels, side, side),
            seed=seed,
        )
        captions = captions_of(training, recipe.data, count, seed)
        return walked(lambda *start: lead(teacher, recipe.loop, terms, *start), captions, terms, place)

    samples: Samples
    if settings.method == "trajectories":
        samples = ways(settings.trajectories, recipe.loop.seed, folder / "ways")
    else:
        seen = Seen(training, [], parts.autoencoder, framing_of(parts, recipe.data), recipe.data, folder)
        samples = Pictures(seen, training, recipe.data)
    truth = ways(AT_ONCE, recipe.loop.seed + 1, folder / "ways-val")
    return DistillationTask(teacher, lesson, samples, truth, recipe)


def lead(
    teacher: Teacher, loop: LoopConfig, terms: Terms, captions: Sequence[str], start: Tensor, guidance: Tensor
) -> Walk:
    """The teacher's way on those terms from noise (b, c, h, w), at scales (b,), to what the captions say.

    loop: in whose precision it walks.
    """
    schedule = Schedule(teacher.parts.schedule)
    interval = plan(schedule, SAMPLER, GRID, terms.steps).steered(*terms.steered)
    device = next(teacher.parts.unet.parameters()).device
    context, scale = teacher.read(captions).to(device), guidance.to(device)

    def predict(latent: Tensor, timestep: Tensor) -> Tensor:
        with autocast(loop):
            if not interval.holds(timestep):
                return teacher.alone(latent, timestep, context)
            return teacher.predict(latent, timestep, context, scale)

    return walk(predict, schedule, start.to(device), terms.steps)
