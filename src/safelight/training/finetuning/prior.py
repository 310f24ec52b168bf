"""Prior preservation (Ruiz et al. 2022, equation 2): beside what it is shown, the model goes on learning what it drew.

Pictures of the class are drawn by the model itself before it learns, and each sample brings one of them along.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from safelight.data.record import Record
from safelight.pipeline import Pipeline
from safelight.placement import placement_for
from safelight.training.diffusion.task import DiffusionTask
from safelight.training.engine.disk import writing
from safelight.training.engine.noise import SampleNoise
from safelight.training.finetuning.settings import PriorConfig
from safelight.training.finetuning.start import Start, dtype_of
from safelight.weights.files import beside, write_json

FOLDER = "prior"
FILE = "drawn.json"  # what the pictures in the folder are drawn from


class PriorTask:
    """A task of one's own pictures and one of the class's, learnt together; see `training.engine.task.Task`.

    weight: how much the errors of the class's pictures count.
    """

    def __init__(self, own: DiffusionTask, prior: DiffusionTask, weight: float) -> None:
        self.own = own
        self.prior = prior
        self.weight = weight
        self.size = own.size
        self.fingerprint = f"{own.fingerprint}+{prior.fingerprint}"

    @property
    def network(self) -> nn.Module:
        """What learns, of both."""
        return self.own.network

    @property
    def buckets(self) -> Sequence[int] | None:
        """The shapes of the own samples; those of the class are all of one."""
        return self.own.buckets

    @property
    def frozen(self) -> Sequence[nn.Module]:
        """What the loss passes through beside it."""
        return self.own.frozen

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """One of the own samples, and any one of the class's."""
        return {
            "own": self.own.sample(index, random),
            "prior": self.prior.sample(random.randrange(self.prior.size), random),
        }

    def loss(self, batch: Mapping[str, Any], noise: SampleNoise) -> dict[str, Tensor]:
        """The loss of the own samples, and `weight` times that of the class's."""
        own = self.own.loss(batch["own"], noise)["loss"]
        prior = self.prior.loss(batch["prior"], noise)["loss"]
        return {"loss": own + self.weight * prior, "loss_own": own, "loss_prior": prior}

    def evaluate(self) -> dict[str, float]:
        """The figures of both."""
        return self.own.evaluate() | {f"prior_{name}": value for name, value in self.prior.evaluate().items()}

    def sheet(self) -> Image.Image | None:
        """The sheet of the own task."""
        return self.own.sheet()

    def export(self, folder: Path) -> None:
        """Write what was learnt."""
        self.own.export(folder)


def prior_records(start: Start, settings: PriorConfig, folder: Path, device: str) -> list[Record]:
    """The class's pictures in `folder/prior`; those that are not there yet are drawn, each from its own seed.

    Pictures of another model, prompt or sampler are drawn anew. Raises BadInput where the disk refuses.
    """
    place = folder / FOLDER
    drawn_from = {
        "model": start.fingerprint,
        "prompt": settings.prompt,
        "steps": settings.steps,
        "guidance": settings.guidance,
    }
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
        if _read(place / FILE) != drawn_from:
            for picture in place.glob("seed-*.png"):
                picture.unlink()
            write_json(place / FILE, drawn_from)
    seeds = range(settings.seed, settings.seed + settings.count)
    missing = [seed for seed in seeds if not _picture(place, seed).is_file()]
    if missing:
        pipeline = Pipeline(start.parts, placement=placement_for(device, dtype_of(start.parts)), name=start.name)
        for seed in tqdm(missing, desc="prior", unit="picture", disable=None):
            result = pipeline(
                settings.prompt,
                seed=seed,
                num_inference_steps=settings.steps,
                guidance_scale=settings.guidance,
            )
            with writing(place), beside(_picture(place, seed)) as partial:
                result.images[0].save(partial, "PNG")
    return [
        Record(f"{settings.prompt}/{seed}", (settings.prompt,), {"split": "train"}, _picture(place, seed).read_bytes)
        for seed in seeds
    ]


def _picture(place: Path, seed: int) -> Path:
    return place / f"seed-{seed}.png"


def _read(file: Path) -> Any:
    """What was noted there; None where it is absent or damaged."""
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
