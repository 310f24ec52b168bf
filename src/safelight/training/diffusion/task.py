"""Stage three: the UNet learns to see through noise (Ho et al. 2020, Algorithm 1; Rombach et al. 2022, equation 3).

Autoencoder and text encoder are frozen; their outputs are computed once and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import torch
from PIL import Image
from torch import Tensor, nn

from safelight.data.collection import fingerprint, split_up
from safelight.data.record import Record
from safelight.errors import BadInput
from safelight.pipeline import Pipeline
from safelight.placement import placement_for
from safelight.training.diffusion.fixed_loss import fixed_errors, quarters
from safelight.training.diffusion.kinds import shown_of
from safelight.training.diffusion.learner import Learner, UNetAndText, WholeUNet
from safelight.training.diffusion.memorisation import Memorisation
from safelight.training.diffusion.objective import Objective, Question
from safelight.training.diffusion.seen import Seen
from safelight.training.diffusion.settings import DiffusionDataConfig, LearningConfig, ObjectiveConfig
from safelight.training.diffusion.sheet import Drawings, drawable, requests, sheet_of
from safelight.training.diffusion.shown import Shown, ShownText
from safelight.training.diffusion.shown.labels import ShownClass
from safelight.training.diffusion.texts import TextCache
from safelight.training.diffusion.views import View, framing_of
from safelight.training.engine.noise import SampleNoise
from safelight.weights import Parts

MakeTask: TypeAlias = (
    "Callable[[Learner, Shown, ObjectiveConfig, DiffusionDataConfig, list[Record], Path], DiffusionTask]"
)


class DiffusionTask:
    """A noise predictor with its latents and what it is shown; see `training.engine.task.Task`.

    cache: the folder that keeps the latents. Raises BadInput where scenes are asked for and it is shown more than text.
    """

    def __init__(
        self,
        learner: Learner,
        shown: Shown,
        objective: ObjectiveConfig,
        data: DiffusionDataConfig,
        records: list[Record],
        cache: Path,
    ) -> None:
        if data.scene_share and not isinstance(shown, ShownText):
            raise BadInput(f"data.scene_share is {data.scene_share}; scenes are for what draws from text alone.")
        training, held_out = split_up(records)
        self.learner = learner
        self.shown = shown
        self.data = data
        self.objective = Objective(learner.parts.schedule, objective)
        self.fingerprint = fingerprint(training, (shown.names.field,) if isinstance(shown, ShownClass) else ())
        framing = framing_of(learner.parts, data)
        self.collection = Seen(training, held_out, learner.parts.autoencoder, framing, data, cache)
        self.seen, self.unseen = self.collection.latents, self.collection.unseen
        self.size = len(self.collection)
        if data.keep_texts and isinstance(learner.read, TextCache):
            learner.read.store(["", *self._captions()], cache)

    @property
    def network(self) -> nn.Module:
        """What learns."""
        return self.learner.network

    @property
    def frozen(self) -> Sequence[nn.Module]:
        """What the loss passes through beside it."""
        return self.learner.frozen

    @property
    def buckets(self) -> list[int] | None:
        """The number of each sample's shape; None where all have one."""
        return self.collection.buckets

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A latent (c, h, w) with what is shown beside it."""
        return self.collection.sample(index, self.shown, random)

    def loss(self, batch: dict[str, Any], noise: SampleNoise) -> dict[str, Tensor]:
        """The weighted squared error of the prediction, at random levels."""
        question = self.objective.question(noise, batch["latent"].shape)
        return {"loss": self._errors(batch, question).mean()}

    def evaluate(self) -> dict[str, float]:
        """The loss of held-out (unseen pictures) and of training latents, always on the same noise and levels.

        Of the unseen ones by quarters of the levels too; and whether what is drawn on the sheet is copied.
        """
        levels = self.objective.schedule.levels
        _, losses = fixed_errors(self.seen, self.shown, self._errors, levels)
        found = {"loss_seen": float(losses.mean())}
        if self.unseen is not None:
            asked, losses = fixed_errors(self.unseen, self.shown, self._errors, levels)
            found |= {"loss_unseen": float(losses.mean()), **quarters("loss_unseen", asked, losses, levels)}
        if self._copies_matter:
            found |= self._memory.figures(self._drawings.pictures())
        return found

    def sheet(self) -> Image.Image | None:
        """A picture for each prompt of the configuration, or for some held-out samples; the same seeds each time.

        Below them are the training pictures that come nearest, or the pictures that the samples are of.
        """
        drawn = self._drawings.pictures()
        if not drawn:
            return None
        below = self._memory.nearest_views(drawn) if self._copies_matter else self._sheet_views
        return sheet_of(drawn, [view.picture() for view in below])

    def pipeline(self) -> Pipeline:
        """What draws the sheet."""
        return Pipeline(
            self.learner.parts, placement=placement_for(self._device, self.learner.parts.unet.conv_in.weight.dtype)
        )

    def export(self, folder: Path) -> None:
        """Write what was learnt."""
        self.learner.export(folder)

    def _errors(self, batch: Mapping[str, Any], question: Question) -> Tensor:
        """The loss (b,) of each sample."""
        shown = self.shown.conditioning(batch, self.learner)
        latent = batch["latent"].to(self._device).float()
        return self.objective.errors(lambda x, t: self.learner.predict(x, t, shown), latent, question)

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _captions(self) -> Iterator[str]:
        """All that may be read, but for tags in another order."""
        for latents in (self.seen, self.unseen):
            for view in latents.views if latents else []:
                yield from view.captions

    @cached_property
    def _sheet_views(self) -> list[View]:
        """The usual view of some samples, held out if possible."""
        known = self.unseen or self.seen
        return list(islice(drawable(self.shown, (known.views[rows[0]] for rows in known.rows)), self.data.drawn))

    @cached_property
    def _drawings(self) -> Drawings:
        views = self._sheet_views or [self.seen.views[0]]
        return Drawings(self.network, requests(self.shown, views, self.data.prompts), self.pipeline)

    @cached_property
    def _copies_matter(self) -> bool:
        """Whether the model draws from nothing or from text alone: otherwise it is shown what it is to draw."""
        calls = self._drawings.calls
        return bool(calls) and all(call.keys() <= {"prompt", "class_label"} for call in calls)

    @cached_property
    def _memory(self) -> Memorisation:
        return Memorisation([self.seen.views[rows[0]] for rows in self.seen.rows])


def task_of_model(
    parts: Parts,
    objective: ObjectiveConfig,
    data: DiffusionDataConfig,
    records: list[Record],
    cache: Path,
    model: LearningConfig | None = None,
    make: MakeTask = DiffusionTask,
) -> DiffusionTask:
    """The task in which a model of any kind learns as a whole; raises BadInput for samples without what it is shown.

    Where classes are words, `cache/classes.txt` says which number each has. make: the class of the task.
    """
    shown = shown_of(parts, data, records)
    if isinstance(shown, ShownClass) and shown.names.names:
        shown.names.write(cache / "classes.txt")
    learner: Learner = UNetAndText(parts) if model and model.text_encoder else WholeUNet(parts)
    return make(learner, shown, objective, data, records, cache)
