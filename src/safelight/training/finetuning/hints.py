"""What a ControlNet is shown beside the caption: a picture that lies over the one to be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from random import Random
from typing import Any

from PIL import Image
from torch import Tensor

from safelight.adapters.control_edges import edges
from safelight.data.record import Record
from safelight.diffusion.conditioning import Conditioning
from safelight.errors import BadInput
from safelight.images import to_tensor
from safelight.training.diffusion.learner import Learner
from safelight.training.diffusion.shown import Shown
from safelight.training.diffusion.views import View
from safelight.training.finetuning.settings import EDGES


@dataclass(frozen=True, kw_only=True)
class Steered(Conditioning):
    """What the UNet is shown, and the picture (b, 3, H, W) in [0, 1] that the ControlNet is shown beside it."""

    hint: Tensor


class ShownHint:
    """What `inner` shows, and a hint: the edges of the picture, or its companion of that name."""

    def __init__(self, inner: Shown, hint: str) -> None:
        self.inner = inner
        self.hint = hint

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """A caption, or none, and the hint: (3, H, W) in [0, 1]."""
        return {**self.inner.entries(view, random), "hint": as_hint(self.picture(view))}

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """The first caption and the hint."""
        return {**self.inner.fixed_entries(view), "hint": as_hint(self.picture(view))}

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """The hidden states of the captions, and the hints."""
        shown = self.inner.conditioning(batch, learner)
        own = {field.name: getattr(shown, field.name) for field in fields(Conditioning)}
        return Steered(**own, hint=batch["hint"].to(next(learner.network.parameters()).device))

    def request(self, view: View) -> dict[str, Any]:
        """The first caption as the prompt, and the hint as what a ControlNet is shown."""
        return {**self.inner.request(view), "control_image": self.picture(view)}

    def picture(self, view: View) -> Image.Image:
        """The hint as a picture, cut and turned as the view is."""
        return edges(view.picture()) if self.hint == EDGES else view.companion(self.hint)


def as_hint(picture: Image.Image) -> Tensor:
    """RGB -> (3, H, W) in [0, 1], as a ControlNet reads it."""
    return (to_tensor(picture) + 1) / 2


def check_hints(records: Sequence[Record], hint: str) -> None:
    """Raise BadInput that names the first record without the companion that is to be its hint."""
    without = [] if hint == EDGES else [record.key for record in records if hint not in record.others]
    if without:
        raise BadInput(
            f"{len(without)} of {len(records)} samples have no {hint} picture, the first is {without[0]!r}; put one "
            f'beside each, such as {without[0]}.{hint}.png, or take control.hint = "{EDGES}".'
        )
