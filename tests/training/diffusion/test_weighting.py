"""What errors count, against the papers' formulas in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from safelight.configs import ScheduleConfig
from safelight.diffusion.schedule import Schedule
from safelight.training.diffusion.settings import ObjectiveConfig
from safelight.training.diffusion.weighting import WEIGHTINGS, weight

TIMESTEPS = torch.tensor([0, 10, 200, 500, 999])

# What the error of the clean estimate counts at a sigma.
LAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "min_snr": lambda sigma: torch.minimum(sigma**-2, torch.tensor(3.0)),  # Hang et al. 2023
    "soft_min_snr": lambda sigma: 1 / (sigma**2 + 1 / 3),  # Crowson et al. 2024
    "truncated_snr": lambda sigma: torch.maximum(sigma**-2, torch.tensor(1.0)),  # Salimans & Ho 2022
    "edm": lambda sigma: (sigma**2 + 0.25) / (sigma * 0.5) ** 2,  # Karras et al. 2022, table 1
}


def moved(schedule: Schedule, timestep: int, prediction: str, change: float) -> float:
    """How far the clean estimate moves where the prediction moves so far, by the definition of the prediction."""
    alpha_bar = float(schedule.alpha_bar.double()[timestep])
    signal, spread = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    return {"epsilon": -spread / signal * change, "v": -spread * change, "x0": change}[prediction]


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
@pytest.mark.parametrize("name", LAWS)
def test_the_error_of_the_clean_estimate_counts_as_the_paper_says(name: Any, prediction: Any) -> None:
    schedule = Schedule(ScheduleConfig(prediction=prediction))
    settings = ObjectiveConfig(weighting=name, snr_limit=3.0, data_spread=0.5)
    found = weight(schedule.alpha_bar[TIMESTEPS], prediction, settings).double()
    sigma = schedule.sigmas.double()[TIMESTEPS]
    for place, timestep in enumerate(TIMESTEPS.tolist()):
        counted = float(LAWS[name](sigma[place])) * moved(schedule, timestep, prediction, 0.7) ** 2
        assert float(found[place]) * 0.7**2 == pytest.approx(counted, rel=2e-3)


def test_every_weighting_but_the_plain_one_has_its_formula_here() -> None:
    assert set(WEIGHTINGS) == {*LAWS, "plain"}


PLAIN: list[dict[str, Any]] = [{"weighting": "plain"}, {"snr_limit": 0}, {"weighting": "soft_min_snr", "snr_limit": 0}]


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
@pytest.mark.parametrize("changes", PLAIN)
def test_plain_errors_count_alike(changes: dict[str, Any], prediction: Any) -> None:
    alpha_bar = Schedule(ScheduleConfig()).alpha_bar[TIMESTEPS]
    torch.testing.assert_close(weight(alpha_bar, prediction, ObjectiveConfig(**changes)), torch.ones(5))


def test_edm_with_unit_spread_is_plain_v() -> None:
    # Of data of unit variance, the preconditioned network of Karras et al. 2022 is a v-prediction, and its loss plain.
    alpha_bar = Schedule(ScheduleConfig()).alpha_bar[TIMESTEPS]
    torch.testing.assert_close(weight(alpha_bar, "v", ObjectiveConfig(weighting="edm")), torch.ones(5))
