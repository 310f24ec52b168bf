"""The noise law in the buffers of original checkpoints, beside the weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from safelight.configs import ScheduleConfig
from safelight.diffusion.schedule import Schedule
from safelight.errors import BadCheckpoint, BadInput

BETAS, ALPHA_BAR = "betas", "alphas_cumprod"
NOTHING_LEFT = 1e-7  # of the picture, at the last level: zero terminal signal-to-noise ratio
TOLERANCES = {torch.float64: 1e-5, torch.float32: 1e-5}  # of alpha_bar
COARSE = 4e-3  # in half precision


def read_law(tensors: Mapping[str, Tensor], prefix: str, likely: Iterable[ScheduleConfig]) -> ScheduleConfig | None:
    """The law that the buffers under a prefix hold, tried against `likely` ones first; None where there are none.

    What the network predicts is not in them. Raises BadCheckpoint for a law that we do not have.
    """
    alpha_bar, name = _alpha_bar(tensors, prefix)
    if alpha_bar is None:
        return None
    tolerance = TOLERANCES.get(tensors[name].dtype, COARSE)
    for config in (*likely, *_candidates(tensors, prefix, alpha_bar)):
        if config.levels == len(alpha_bar) and (Schedule(config).alpha_bar - alpha_bar).abs().max() < tolerance:
            return config
    raise BadCheckpoint(f"The noise law in {name!r} is unknown; known are the scaled linear, the linear and the cosine.")


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
                raise BadCheckpoint(f"The noise law in {name!r} has the shape {tuple(values.shape)}; needed: (levels,).")
            return (values if leaf == ALPHA_BAR else torch.cumprod(1 - values, dim=0)), name
    return None, ""


def _candidates(tensors: Mapping[str, Tensor], prefix: str, alpha_bar: Tensor) -> Iterator[ScheduleConfig]:
    """Laws that start and end as this one does."""
    before = torch.cat([torch.ones(1), alpha_bar[:-1]])
    betas = tensors[f"{prefix}{BETAS}"].float() if f"{prefix}{BETAS}" in tensors else 1 - alpha_bar / before
    ends = {"beta_start": _rounded(betas[0]), "beta_end": _rounded(betas[-1])}
    levels = len(alpha_bar)
    for base in (ScheduleConfig(levels=levels), ScheduleConfig(levels=levels, law="linear")):
        try:
            yield replace(base, **ends)
        except BadInput:  # ends that no such law has
            continue
    yield ScheduleConfig(levels=levels, law="cosine")
    if alpha_bar[-1] < NOTHING_LEFT:
        yield ScheduleConfig(levels=levels, zero_terminal_snr=True)


def _rounded(value: Tensor) -> float:
    """Without the digits that float32 adds."""
    return float(f"{float(value):.6g}")
