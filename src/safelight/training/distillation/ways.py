"""The ways of a teacher, walked before the first step and kept in files, and read place by place while training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from safelight.training.distillation.walk import Walk
from safelight.training.engine.noise import SampleNoise
from safelight.training.prepared import AT_ONCE, prepare

# captions, start noise (b, c, h, w), guidance scales (b,) -> the teacher's way from there
Lead = Callable[[Sequence[str], Tensor, Tensor], Walk]


@dataclass(frozen=True)
class Ways:
    """Ways in files of sixteen each, with their captions; a training sample is a place on one, and its end."""

    files: Sequence[Path]
    captions: Sequence[str]
    fingerprint: str

    @property
    def size(self) -> int:
        """The number of ways."""
        return len(self.captions)

    @property
    def buckets(self) -> None:
        """All have one shape."""

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A place (c, h, w) with its timestep, the end (c, h, w), the guidance scale and the caption."""
        number, row = divmod(index, AT_ONCE)
        with safe_open(self.files[number], "pt") as file:
            timesteps = file.get_tensor("timesteps")
            place = random.randrange(len(timesteps))
            return {
                "latent": file.get_slice("places")[row, place],
                "timestep": timesteps[place],
                "end": file.get_slice("ends")[row],
                "guidance": file.get_slice("guidance")[row],
                "caption": self.captions[index],
            }

    def first(self) -> dict[str, Any]:
        """Start noise and end (b, c, h, w), guidance scale (b,) and caption of the ways in the first file."""
        with safe_open(self.files[0], "pt") as file:
            return {
                "start": file.get_slice("places")[:, 0].float(),
                "end": file.get_tensor("ends").float(),
                "guidance": file.get_tensor("guidance"),
                "caption": list(self.captions[:AT_ONCE]),
            }


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What ways are made of beside their captions.

    teacher: a hash of the model. steps: of each way. guidance: its scale is drawn evenly between these two.
    steered: the shares of the steps between which they have it. shape: of a latent. seed: noise and scale of way n
    follow from it and n.
    """

    teacher: str
    steps: int
    guidance: tuple[float, float]
    steered: tuple[float, float]
    shape: tuple[int, int, int]
    seed: int


def walked(lead: Lead, captions: Sequence[str], terms: Terms, folder: Path) -> Ways:
    """Let the teacher walk for every caption, or take from `folder` what it has walked on the same terms before.

    Raises BadInput where the disk refuses; what was walked until then is kept.
    """
    told = json.dumps([vars(terms), *captions])
    fingerprint = hashlib.sha256(told.encode()).hexdigest()

    def walk_from(places: range) -> dict[str, Tensor]:
        noise = SampleNoise(terms.seed, places)
        guidance = torch.lerp(torch.tensor(terms.guidance[0]), torch.tensor(terms.guidance[1]), noise.uniform())
        way = lead([captions[place] for place in places], noise.normal(*terms.shape), guidance)
        return {
            "places": way.places.to(torch.bfloat16),
            "ends": way.end.to(torch.bfloat16),
            "timesteps": way.timesteps,
            "guidance": guidance,
        }

    return Ways(prepare(folder, len(captions), fingerprint, walk_from, "ways"), captions, fingerprint)
