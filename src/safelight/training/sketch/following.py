"""Diffusion for a UNet that is to follow its text encoder's sketch.

At the noisiest levels nothing but the text says what the picture is, and the best answer to the square error is the
mean of all pictures with that caption: the sketch, which the text encoder's last states hold. So there the sketch may
stand for the picture. It is without the accidents of one, and it is at hand for every caption, also where nobody has
drawn the picture: two things side by side, a thing in a style that it never had.
"""

from __future__ import annotations

import logging
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
from safelight.training.diffusion.learner import Learner
from safelight.training.diffusion.objective import Objective, Question
from safelight.training.diffusion.settings import DiffusionDataConfig, LearningConfig, ObjectiveConfig
from safelight.training.diffusion.shown import Shown
from safelight.training.diffusion.task import DiffusionTask, MakeTask
from safelight.training.engine.checkpoint import checkpoints
from safelight.training.engine.noise import SampleNoise
from safelight.training.sketch.aiming import aim
from safelight.training.sketch.imagined import Imagined
from safelight.training.sketch.pairs import usual_pairs
from safelight.training.sketch.settings import FollowingConfig
from safelight.training.sketch.sketcher import Sketcher
from safelight.weights import Parts

IMAGINED = 0.5  # of the samples that show a sketch: those of pictures that nobody drew, where there are scenes
AIMED_FROM = 1024  # pictures at most from which heads learn where to look
FEATURES = 2**26  # numbers at most that are kept of them for the finest layer
LEAST_WEIGHT = 0.1  # of the noisiest level's errors, below which a sketch would teach nothing
LARGEST_MISS = 0.5  # of the latents' variance, above which a text encoder holds no sketch

log = logging.getLogger(__name__)


def check_followed(
    following: FollowingConfig,
    parts: Parts,
    objective: ObjectiveConfig,
    data: DiffusionDataConfig,
    model: LearningConfig,
) -> None:
    """Raise BadInput where something is asked for that this model, or this way to learn, has no place for.

    The model must draw from the text of one CLIP alone, which does not learn, in pictures of one shape; and where
    sketches are shown, errors at the noisiest levels must count.
    """
    if not following.asked:
        return
    instead = "following.share = 0 and following.heads = 0 do without"
    if parts.task != "text" or not isinstance(parts.text_encoder, TextEncoder):
        raise BadInput(f"following is for models that draw from text alone, read by one CLIP; {instead}.")
    if model.text_encoder:
        raise BadInput(f"model.text_encoder is true, but what is followed must stay as it is; {instead}.")
    if data.shapes != "square":
        raise BadInput(f'data.shapes is {data.shapes!r}; following needs "square", and {instead}.')
    counted = Objective(parts.schedule, objective)
    weight = float(counted.weight(torch.tensor([counted.schedule.levels - 1])))
    if following.share and (parts.schedule.prediction == "epsilon" or weight < LEAST_WEIGHT):
        raise BadInput(
            f"following.share is {following.share}, but this objective (prediction {parts.schedule.prediction!r}, "
            f"objective.weighting {objective.weighting!r}) hardly counts the noisiest levels, where sketches are "
            'shown; it needs "v" or "x0", and objective.snr_limit = 0.'
        )


def task_that_follows(following: FollowingConfig) -> MakeTask:
    """The class of the task: one that follows, where anything is asked for it."""
    return partial(FollowingTask, following=following) if following.asked else DiffusionTask


class FollowingTask(DiffusionTask):
    """A noise predictor that is shown sketches too; see `training.engine.task.Task`.

    What `check_followed` has let through. Heads are turned before the first step of a run, and left as they are where
    it is resumed. Raises BadInput for pictures of too few captions to find the sketches by.
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
        super().__init__(learner, shown, objective, data, records, cache)
        self.following = following
        self.sketcher = Sketcher(*learner.parts.reader, self.seen[0].shape, following.cells).requires_grad_(False)
        self._find_sketches()
        scenes = self.collection.scenes
        things = {view.record.key: view.record for view in scenes.views} if scenes else {}
        self.imagined = Imagined([*things.values()], scenes.styles) if scenes else None
        if following.heads and not checkpoints(cache / "checkpoints"):
            self._aim()

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A latent (c, h, w) with what is shown beside it, and whether it gives way to the sketch of its caption."""
        sample = super().sample(index, random)
        asked = random.random() < self.following.share and bool(sample["caption"])
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
        """Beside the others `loss_sketch`: the prediction's error at the noisiest level, with the sketch as picture."""
        last = self.objective.schedule.levels - 1

        def missed(batch: Mapping[str, Any], question: Question) -> Tensor:
            noisiest = Question(torch.full_like(question.timestep, last), question.noise)
            errors = self._errors({**batch, "latent": self._sketches(batch)}, noisiest)
            return errors / self.objective.weight(noisiest.timestep).to(errors)

        return {**super().evaluate(), "loss_sketch": float(fixed_errors(self.seen, self.shown, missed, 1)[1].mean())}

    def _sketches(self, batch: Mapping[str, Any]) -> Tensor:
        """(b, c, h, w)."""
        with torch.no_grad(), torch.autocast(self._device.type, enabled=False):
            return self.sketcher.of_states(self.learner.read(batch["caption"]).to(self._device))

    def _find_sketches(self) -> None:
        """Find the map from states to squares, and tell where there is none."""
        captions, latents = usual_pairs(self.seen)
        equations, unknown = len(set(captions)) * self.following.cells**2, self.sketcher.text_encoder.config.width + 1
        if equations < 2 * unknown:
            raise BadInput(
                f"The pictures have {len(set(captions))} captions, too few to find the text encoder's sketches by; "
                f"following needs {-(-2 * unknown // self.following.cells**2)}."
            )
        self.sketcher.keep_map(captions, latents)
        found = self.sketcher.of_states(self.sketcher.read(captions)).cpu()
        missed = float((found - latents).square().mean() / latents.var(0).mean())
        if missed > LARGEST_MISS:
            log.warning(
                "The text encoder foretells little: its sketches miss %.0f %% of the variance of the pictures. "
                "`safelight train sketch` teaches it; following.cells must be what it was taught with.",
                100 * missed,
            )

    def _aim(self) -> None:
        numbers = self.seen[0][0].numel() * self.learner.parts.unet.config.channels[0]
        count = min(AIMED_FROM, 4 * self.size, max(1, FEATURES // numbers))
        chosen = Random(0)
        samples = [self.collection.sample(chosen.randrange(self.size), self.shown, chosen) for _ in range(count)]
        captions, latents = [one["caption"] for one in samples], torch.stack([one["latent"] for one in samples])
        shares = aim(
            self.learner.parts.unet, self.sketcher, self.objective.schedule, captions, latents, self.following.heads
        )
        log.info("Attention of the turned heads to their own squares, by layer: %s", [f"{one:.2f}" for one in shares])
