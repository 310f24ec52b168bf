"""The noise law in the buffers of original checkpoints, beside the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from safelight.catalog import CATALOG
from safelight.configs import ScheduleConfig
from safelight.diffusion.schedule import Schedule
from safelight.errors import BadCheckpoint, BadInput

BETAS, ALPHA_BAR = "betas", "alphas_cumprod"
NOTHING_LEFT = 1e-7  # of the picture, at the last level: zero terminal signal-to-noise ratio
TOLERANCES = {torch.float64: 1e-5, torch.float32: 1e-5}  # of alpha_bar
COARSE = 4e-3  # in half precision


def read_law(tensors: Mapping[str, Tensor], prefix: str, likely: Sequence[ScheduleConfig]) -> ScheduleConfig | None:
    """The law that the buffers under a prefix hold; None where there are none.

    likely: laws to try before those that are only published, and those before any other. What the network predicts is
    not in the buffers. Raises BadCheckpoint for a law that we do not have.
    """
    alpha_bar, name = _alpha_bar(tensors, prefix)
    if alpha_bar is None:
        return None
    tolerance = TOLERANCES.get(tensors[name].dtype, COARSE)
    published = [law for row in CATALOG for law in (row.schedule, row.noise_schedule) if law is not None]
    for laws in (likely, published, list(_ending_alike(tensors, prefix, alpha_bar))):
        errors = [_error(law, alpha_bar) for law in laws]
        if errors and min(errors) < tolerance:
            return laws[errors.index(min(errors))]
    raise BadCheckpoint(
        f"The noise law in {name!r} is unknown; known are the scaled linear, the linear and the cosine."
    )


def _error(law: ScheduleConfig, alpha_bar: Tensor) -> float:
    if law.levels != len(alpha_bar):
        return math.inf
    return float((Schedule(law).alpha_bar - alpha_bar).abs().max())


def write_law(config: ScheduleConfig, prefix: str) -> dict[str, Tensor]:
    """The buffers that the original code reads the law from."""
    alpha_bar = Schedule(config).alpha_bar
    before = torch.cat([torch.ones(1), alpha_bar[:-1]])
    return {f"{prefix}{BETAS}": 1 - alpha_bar / before, f"{prefix}{ALPHA_BAR}": alpha_bar.clone()}


def _alpha_bar(tensors: Mapping[str, Tensor], prefix: str) -> tuple[Tensor | None, str]:
    for leaf in (ALPHA_BAR, BETAS):
        name = f"{prefix}{leaf}"
        if name in tensors:
            values = tensors[name].float()
            if values.ndim != 1 or len(values) < 2:
                raise BadCheckpoint(
                    f"The noise law in {name!r} has the shape {tuple(values.shape)}; needed: (levels,)."
                )
            return (values if leaf == ALPHA_BAR else torch.cumprod(1 - values, dim=0)), name
    return None, ""


def _ending_alike(tensors: Mapping[str, Tensor], prefix: str, alpha_bar: Tensor) -> Iterator[ScheduleConfig]:
    """Laws that start and end as this one does."""
    before = torch.cat([torch.ones(1), alpha_bar[:-1]])
    betas = tensors[f"{prefix}{BETAS}"].float() if f"{prefix}{BETAS}" in tensors else 1 - alpha_bar / before
    start, end = _rounded(betas[0]), _rounded(betas[-1])
    levels = len(alpha_bar)
    for base in (ScheduleConfig(levels=levels), ScheduleConfig(levels=levels, law="linear")):
        try:
            yield replace(base, beta_start=start, beta_end=end)
        except BadInput:  # ends that no such law has
            continue
    yield ScheduleConfig(levels=levels, law="cosine")
    if alpha_bar[-1] < NOTHING_LEFT:
        yield ScheduleConfig(levels=levels, zero_terminal_snr=True)


def _rounded(value: Tensor) -> float:
    """Without the digits that float32 adds."""
    return float(f"{float(value):.6g}")
