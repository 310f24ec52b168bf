"""ControlNets onto a UNet: each adds its residuals, so strongly and during such a share of the steps.

Nothing is kept between steps: which of them are active is told from the timestep, so a sampler may ask in any order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from safelight.adapters.attachment import Attachment
from safelight.adapters.controlnet import ControlNet
from safelight.errors import BadCheckpoint, BadInput
from safelight.placement import run_in_half
from safelight.unet import UNet
from safelight.unet.unet import Residuals

ARGUMENTS = tuple(signature(UNet.forward).parameters)[1:]
CLOSE = 1e-3  # timesteps nearer than this are the same: float32 may have rounded them differently


@dataclass(frozen=True, kw_only=True, eq=False)
class Control:
    """A ControlNet at work.

    hint: (b or 1, 3, H, W) in [0, 1], as large as the picture to be drawn. strength: 1 is as it was trained.
    start, end: the share of the steps during which it works. Raises BadInput.
    """

    network: ControlNet
    hint: Tensor
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.strength):
            raise BadInput(f"A ControlNet's strength is {self.strength}; it must be a finite number (1 is as trained).")
        if not 0 <= self.start < self.end <= 1:
            raise BadInput(f"A ControlNet works from {self.start} to {self.end}; they must obey 0 <= start < end <= 1.")

    def window(self, timesteps: Sequence[float]) -> tuple[float, float]:
        """The highest and the lowest timestep at which it works, of those that a run visits, in their order.

        Step i of n is among them where i / n >= start and (i + 1) / n <= end, as in diffusers. For none: (-inf, inf).
        """
        n = len(timesteps)
        active = [t for i, t in enumerate(timesteps) if i / n >= self.start and (i + 1) / n <= self.end]
        return (max(active), min(active)) if active else (-math.inf, math.inf)


class Controls:
    """Several ControlNets during one run."""

    def __init__(self, controls: Sequence[Control], timesteps: Sequence[float] | Tensor) -> None:
        visited = torch.as_tensor(timesteps, dtype=torch.float32).tolist()
        self.windows = [(control, *control.window(visited)) for control in controls]

    def residuals(self, latent: Tensor, timestep: Tensor | float, context: Tensor | None) -> Residuals | None:
        """The sum of what the active ones say, times their strengths, or None where none is active.

        latent: (b, c, h, w). timestep: scalar, or (b,) and then the same for all.
        """
        now = float(torch.as_tensor(timestep).flatten()[0])
        found = [
            _scaled(_called(control, latent, timestep, context), control.strength)
            for control, highest, lowest in self.windows
            if lowest - CLOSE <= now <= highest + CLOSE
        ]
        if not found:
            return None
        skips = [sum(same[1:], start=same[0]) for same in zip(*(one.skips for one in found), strict=True)]
        return Residuals(skips, sum((one.middle for one in found[1:]), start=found[0].middle))


def attach_controls(unet: UNet, controls: Sequence[Control], timesteps: Sequence[float] | Tensor) -> Attachment:
    """Have a UNet add the ControlNets' residuals whenever it is called; its own weights and code stay as they are.

    timesteps: those that the run visits, in their order: one for each step, the evaluation at the step's start.
    Raises BadCheckpoint where a ControlNet was made for another UNet, and then nothing is attached.
    """
    for control in controls:
        check_control(control.network, unet)
    both = Controls(controls, timesteps)

    def hook(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = dict(zip(ARGUMENTS, arguments, strict=False)) | named
        added = both.residuals(given["latent"], given["timestep"], given.get("context"))
        return (), given if added is None else given | {"residuals": _sum(given.get("residuals"), added)}

    return Attachment(unet.register_forward_pre_hook(hook, with_kwargs=True).remove)


def check_control(network: ControlNet, unet: UNet) -> None:
    """Raise BadCheckpoint that names every dimension in which a ControlNet does not meet the UNet."""
    ours, its = network.config.unet, unet.config
    faults = [
        f"{name} is {getattr(ours, name)} in the ControlNet and {getattr(its, name)} in the UNet"
        for name in ("channels", "blocks_per_level", "attention", "middle_attention", "context_width")
        if getattr(ours, name) != getattr(its, name)
    ]
    if ours.in_channels > its.in_channels:
        faults.append(f"in_channels is {ours.in_channels} in the ControlNet and {its.in_channels} in the UNet")
    if faults:
        raise BadCheckpoint(f"The ControlNet was made for another UNet: {'; '.join(faults)}.")


def _called(control: Control, latent: Tensor, timestep: Tensor | float, context: Tensor | None) -> Residuals:
    """One ControlNet's residuals in the latent's precision; it runs in its own, or in float32 where that overflows.

    Of an inpainting UNet's channels it sees the first, which are the latent.
    """
    network = control.network
    own = latent[:, : network.config.unet.in_channels]
    found: list[Residuals] = []

    def call() -> Tensor:
        weight = network.conv_in.weight
        read = None if context is None else context.to(weight)
        found[:] = [network(own.to(weight), timestep, read, control.hint.to(weight))]
        return torch.stack([part.abs().amax() for part in (*found[0].skips, found[0].middle)])

    run_in_half(network, call, "ControlNet")
    return Residuals([skip.to(latent) for skip in found[0].skips], found[0].middle.to(latent))


def _scaled(residuals: Residuals, strength: float) -> Residuals:
    return Residuals([strength * skip for skip in residuals.skips], strength * residuals.middle)


def _sum(first: Residuals | None, second: Residuals) -> Residuals:
    if first is None:
        return second
    skips, middle = first
    return Residuals([a + b for a, b in zip(skips, second.skips, strict=True)], middle + second.middle)
