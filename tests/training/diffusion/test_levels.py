"""How often each level of noise is asked about, against the laws' own formulas."""

from __future__ import annotations

import math

import pytest
import torch

from safelight.configs import ScheduleConfig
from safelight.diffusion.schedule import Schedule
from safelight.training.diffusion.levels import lognormal, skewed
from safelight.training.diffusion.settings import ObjectiveConfig

SCHEDULE = Schedule(ScheduleConfig())
UNIFORM = torch.rand(200_000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("skew", [0.5, 1.0, 2.0])
def test_a_skewed_density_rises_as_a_power_of_the_timestep(skew: float) -> None:
    timestep = skewed(SCHEDULE, ObjectiveConfig(level_skew=skew), UNIFORM)
    assert int(timestep.min()) < 5
    assert int(timestep.max()) == 999
    for place in (100, 500, 900):  # P(t < place) = (place / levels) ** skew
        below = float((timestep < place).double().mean())
        assert below == pytest.approx((place / 1000) ** skew, abs=0.005)


def test_the_logarithm_of_sigma_is_normal() -> None:
    # Karras et al. 2022, table 1: ln(sigma) ~ N(P_mean, P_std²)
    timestep = lognormal(SCHEDULE, ObjectiveConfig(sigma_mean=-0.4, sigma_spread=0.7), UNIFORM)
    logarithm = SCHEDULE.sigmas.double().log()[timestep]
    assert float(logarithm.mean()) == pytest.approx(-0.4, abs=0.01)
    assert float(logarithm.std()) == pytest.approx(0.7, abs=0.01)
    for place in (-1.0, 0.0, 0.8):
        expected = 0.5 * (1 + math.erf((place + 0.4) / 0.7 / math.sqrt(2)))
        assert float((logarithm < place).double().mean()) == pytest.approx(expected, abs=0.01)


def test_sigmas_beyond_the_schedule_get_its_ends() -> None:
    timestep = lognormal(
        SCHEDULE, ObjectiveConfig(sigma_mean=0.0, sigma_spread=10.0), torch.tensor([0.0, 1e-9, 0.9999])
    )
    assert timestep.tolist() == [0, 0, 999]
    assert timestep.dtype == torch.int64
