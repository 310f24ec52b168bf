"""Grids and plans: what is visited, where it ends, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from safelight.configs import ScheduleConfig
from safelight.diffusion.grids import GRIDS
from safelight.diffusion.plan import CONVENTIONS, plan
from safelight.diffusion.samplers import SAMPLERS
from safelight.diffusion.schedule import Schedule
from safelight.errors import BadInput

from .analytic import one_bump


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("grid", sorted(GRIDS))
@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_pair_has_a_falling_plan(schedule: Schedule, name: str, grid: str, steps: int) -> None:
    layout = plan(schedule, name, grid, steps)
    assert layout.sigmas.shape == (steps + 1,)
    assert layout.sigmas.dtype == torch.float32
    assert bool((layout.sigmas.diff() < 0).all()) or name in ("ddim", "pndm", "plms")
    assert bool((layout.sigmas.diff() <= 0).all())
    assert float(layout.sigmas[-1]) in (0.0, float(schedule.sigmas[0]))
    assert layout.start_scale >= float(layout.sigmas[0]) * 0.9999


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_sampler_runs_its_usual_grid_from_one_step_up(schedule: Schedule, name: str) -> None:
    ones = torch.ones(1, 1, 2, 2)
    for steps in (1, 2, 3, 4, 5):
        layout = plan(schedule, name, None, steps)
        walked = list(layout.sampler(one_bump, ones, layout.sigmas, lambda: ones))
        assert len(walked) == steps
        assert bool(walked[-1].x.isfinite().all())


def test_leading_timesteps_are_those_of_stable_diffusion(schedule: Schedule) -> None:
    assert GRIDS["leading"](schedule, 50).timesteps[:3].tolist() == [981, 961, 941]
    assert GRIDS["leading"](schedule, 50).timesteps[-1] == 1
    assert GRIDS["leading"](schedule, 1000).timesteps[[0, -1]].tolist() == [999, 0]


def test_trailing_and_linspace_start_at_the_noisiest_level(schedule: Schedule) -> None:
    for steps in (1, 10, 25):
        assert GRIDS["trailing"](schedule, steps).timesteps[0] == 999
        assert GRIDS["linspace"](schedule, steps).timesteps[0] == 999
        assert len(GRIDS["linspace"](schedule, steps).timesteps) == steps


def test_karras_follows_equation_5(schedule: Schedule) -> None:
    low, high = float(schedule.sigmas[0]), float(schedule.sigmas[-1])
    sigmas = GRIDS["karras"](schedule, 5).sigmas
    for index in range(5):
        root = high ** (1 / 7) + index / 4 * (low ** (1 / 7) - high ** (1 / 7))
        assert float(sigmas[index]) == pytest.approx(root**7, rel=1e-9)


def test_exponential_is_a_geometric_series(schedule: Schedule) -> None:
    sigmas = GRIDS["exponential"](schedule, 9).sigmas
    ratios = sigmas[1:] / sigmas[:-1]
    assert torch.allclose(ratios, ratios[:1].expand(8))


def test_midpoints_are_interpolated_and_grid_levels_are_not(schedule: Schedule) -> None:
    layout = plan(schedule, "dpmpp_2m", "karras", 10)
    told = layout.timestep_of(layout.sigmas[3])
    assert float(told) == round(float(schedule.timestep(layout.sigmas[3])))
    between = (layout.sigmas[3] * layout.sigmas[4]).sqrt()
    assert float(layout.timestep_of(between)) == pytest.approx(float(schedule.timestep(between)), abs=1e-3)
    assert layout.timestep_of(layout.sigmas[:2]).shape == (2,)


def test_start_scales(schedule: Schedule) -> None:
    largest = float(schedule.sigmas[-1])
    assert plan(schedule, "euler", "karras", 10).start_scale == pytest.approx(largest)
    assert plan(schedule, "dpmpp_2m", "karras", 10).start_scale == pytest.approx((1 + largest**2) ** 0.5)


def test_conventions_name_known_things() -> None:
    assert CONVENTIONS.keys() == SAMPLERS.keys()
    for convention in CONVENTIONS.values():
        assert convention.grid in GRIDS
        assert convention.courses.keys() == GRIDS.keys()


@pytest.mark.parametrize("steps", [0, -1, 1001, 10**9, 2.5, "10"])
def test_bad_steps(schedule: Schedule, steps: Any) -> None:
    with pytest.raises(BadInput, match="from 1 to 1000"):
        plan(schedule, "euler", "karras", steps)


def test_more_steps_than_a_grid_has_levels(schedule: Schedule) -> None:
    with pytest.raises(BadInput, match="1 to 999"):
        plan(schedule, "dpmpp_2m", "linspace", 1000)
    with pytest.raises(BadInput, match="1 to 50"):
        plan(schedule, "lcm", None, 51)
    with pytest.raises(BadInput, match="1 to 20"):
        plan(Schedule(ScheduleConfig(levels=20)), "lcm", None, 4)


def test_unknown_names_bring_the_nearest(schedule: Schedule) -> None:
    with pytest.raises(BadInput, match="Did you mean 'dpmpp_2m'"):
        plan(schedule, "dpmpp2m", None, 10)
    with pytest.raises(BadInput, match="Did you mean 'karras'"):
        plan(schedule, "euler", "karas", 10)
