"""Diffusion for a UNet that is to follow its text encoder's sketch.

At the noisiest levels nothing but the text says what the picture is, and the best answer to the square error is the
mean of all pictures with that caption: the sketch, which the text encoder's last states hold. So there the sketch may
stand for the picture. It is without the accidents of one, and it is at hand for every caption, also where nobody has
drawn the picture: two things side by side, a thing in a style that it never had.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from safelight.data.record import Record
from safelight.errors import BadInput
from safelight.text import TextEncoder
from safelight.training.diffusion.fixed_loss import fixed_errors
from safelight.training.diffusion.learner import Learner, WholeUNet
from safelight.training.diffusion.objective import Question
from safelight.training.diffusion.settings import DiffusionDataConfig, FollowingConfig, ObjectiveConfig
from safelight.training.diffusion.shown import Shown, ShownText
from safelight.training.diffusion.task import DiffusionTask, MakeTask
from safelight.training.engine.checkpoint import checkpoints
from safelight.training.engine.noise import SampleNoise
from safelight.training.sketch.aiming import aim
from safelight.training.sketch.imagined import Imagined
from safelight.training.sketch.pairs import ENOUGH, usual_pairs
from safelight.training.sketch.sketcher import Sketcher

IMAGINED = 0.5  # of the samples that show a sketch: those of pictures that nobody drew, where there are scenes


def task_that_follows(following: FollowingConfig) -> MakeTask:
    """The class of the task: one that follows, where anything is asked for it."""
    return partial(FollowingTask, following=following) if following.asked else DiffusionTask


class FollowingTask(DiffusionTask):
    """A noise predictor that is shown sketches too; see `training.engine.task.Task`.

    Heads are turned before the first step of a run, and left as they are where it is resumed. Raises BadInput where the
    model does not draw from the text of one CLIP alone, where the text encoder learns too, and for pictures of several
    shapes.
    """

    def __init__(
        self,
        learner: Learner,
        shown: Shown,
        objective: ObjectiveConfig,
        data: DiffusionDataConfig,
        records: list[Record],
        cache: Path,
        following: FollowingConfig,
    ) -> None:
        if not isinstance(shown, ShownText) or not isinstance(learner.parts.text_encoder, TextEncoder):
            raise BadInput("following needs a model that draws from text alone, read by one CLIP: its sketch is there.")
        if not isinstance(learner, WholeUNet):
            raise BadInput(
                "model.text_encoder is true, and following needs it to be false: what is followed must stay."
            )
        if data.shapes != "square":
            raise BadInput(f'data.shapes is {data.shapes!r}; following needs "square".')
        super().__init__(learner, shown, objective, data, records, cache)
        self.following = following
        self.sketcher = Sketcher(*learner.parts.reader, self.seen[0].shape, following.cells).requires_grad_(False)
        self.sketcher.keep_map(*usual_pairs(self.seen))
        scenes = self.collection.scenes
        things = {view.record.key: view.record for view in scenes.views} if scenes else {}
        self.imagined = Imagined([*things.values()], scenes.styles) if scenes else None
        if following.heads and not checkpoints(cache / "checkpoints"):
            self._aim()

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A latent (c, h, w) with what is shown beside it, and whether it gives way to the sketch of its caption."""
        sample = super().sample(index, random)
        asked = random.random() < self.following.share
        if asked and self.imagined and random.random() < IMAGINED:
            sample["caption"] = self.imagined.caption(random)
        return {**sample, "sketched": asked}

    def loss(self, batch: dict[str, Any], noise: SampleNoise) -> dict[str, Tensor]:
        """The weighted squared error of the prediction: of sketches at the noisiest levels, of pictures at any."""
        sketched = batch["sketched"]
        question = self.objective.question(noise, batch["latent"].shape)
        lowest, levels = self.following.lowest, self.objective.schedule.levels
        noisy = ((lowest + (1 - lowest) * noise.uniform()) * levels).long().clamp(max=levels - 1)
        question = Question(torch.where(sketched.cpu(), noisy, question.timestep), question.noise)
        pictures = batch["latent"].to(self._device).float()
        latent = torch.where(sketched.to(self._device)[:, None, None, None], self._sketches(batch), pictures)
        return {"loss": self._errors({**batch, "latent": latent}, question).mean()}

    def evaluate(self) -> dict[str, float]:
        """Beside the others `loss_sketch`: at the noisiest level, how far what it foresees is from the sketch."""

        def missed(batch: Mapping[str, Any], question: Question) -> Tensor:
            last = torch.full_like(question.timestep, self.objective.schedule.levels - 1)
            return self._errors({**batch, "latent": self._sketches(batch)}, Question(last, question.noise))

        return {**super().evaluate(), "loss_sketch": float(fixed_errors(self.seen, self.shown, missed, 1)[1].mean())}

    def _sketches(self, batch: Mapping[str, Any]) -> Tensor:
        """(b, c, h, w)."""
        return self.sketcher.of_states(self.learner.read(batch["caption"]).to(self._device))

    def _aim(self) -> None:
        chosen = Random(0)
        samples = [self.sample(chosen.randrange(self.size), chosen) for _ in range(min(ENOUGH, 4 * self.size))]
        captions, latents = [sample["caption"] for sample in samples], torch.stack([s["latent"] for s in samples])
        aim(self.learner.parts.unet, self.sketcher, self.objective.schedule, captions, latents, self.following.heads)
