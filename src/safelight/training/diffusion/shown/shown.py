"""What the UNet is shown beside the noisy latent while it is trained, and how several such things go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from random import Random
from typing import Any, Protocol

from torch import Tensor

from safelight.diffusion.conditioning import Conditioning
from safelight.training.diffusion.learner import Learner
from safelight.training.diffusion.views import View


class Shown(Protocol):
    """How a picture's condition enters a sample, and how a batch of them is shown to the UNet."""

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """What a sample holds beside its latent: tensors, numbers or text by name, with random choices."""
        ...

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """The same where all choices follow from the view, for held-out figures."""
        ...

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """What the UNet is shown for a collated batch of such entries."""
        ...

    def request(self, view: View) -> dict[str, Any]:
        """The arguments of a pipeline's call that draws from the condition of this view, chosen as the fixed ones."""
        ...


class Nothing:
    """No condition at all."""

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """None."""
        return {}

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """None."""
        return {}

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """Empty."""
        return Conditioning()

    def request(self, view: View) -> dict[str, Any]:
        """Empty."""
        return {}


class Together:
    """Several conditions at once, each reaching the UNet by a way of its own."""

    def __init__(self, *shown: Shown) -> None:
        self.shown = shown

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """Those of all, chosen one after the other."""
        return {name: entry for one in self.shown for name, entry in one.entries(view, random).items()}

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """Those of all."""
        return {name: entry for one in self.shown for name, entry in one.fixed_entries(view).items()}

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """Whatever any of them shows."""
        together: dict[str, Tensor] = {}
        for one in self.shown:
            found = one.conditioning(batch, learner)
            ways = {way.name: getattr(found, way.name) for way in fields(found)}
            together |= {name: tensor for name, tensor in ways.items() if tensor is not None}
        return Conditioning(**together)

    def request(self, view: View) -> dict[str, Any]:
        """The arguments of all."""
        return {name: value for one in self.shown for name, value in one.request(view).items()}
