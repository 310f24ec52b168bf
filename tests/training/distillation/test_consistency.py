"""The mathematics of jumps, against ways that are known exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from safelight.configs import ScheduleConfig
from safelight.diffusion.schedule import Schedule
from safelight.training.distillation.consistency import clean_estimate, jump, pseudo_huber, solver_step
from safelight.training.distillation.walk import walk
from tests.training.distillation.gaussian import SCHEDULE, exact_student, moved, teacher

NOTHING = torch.zeros(4)


def noise(seed: int = 0) -> torch.Tensor:
    return torch.randn(4, 2, 4, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_a_jump_from_the_end_stays_there_and_others_are_the_clean_estimate(prediction: Any) -> None:
    schedule = Schedule(ScheduleConfig(prediction=prediction))
    latent, timestep = noise(), torch.tensor([0, 19, 499, 999])
    found = jump(lambda x, t: 3 * x, schedule, latent, timestep)
    assert torch.equal(found[0], latent[0])
    clean = clean_estimate(lambda x, t: 3 * x, schedule, latent, timestep)
    torch.testing.assert_close(found[1:], clean[1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_the_clean_estimate_of_a_network_that_knows_the_noise_is_the_picture(prediction: Any) -> None:
    schedule = Schedule(ScheduleConfig(prediction=prediction))
    picture, added, timestep = noise(1), noise(2), torch.tensor([0, 19, 499, 999])
    known = schedule.target(picture, added, timestep)
    found = clean_estimate(lambda x, t: known, schedule, schedule.add_noise(picture, added, timestep), timestep)
    torch.testing.assert_close(found, picture, rtol=1e-3, atol=1e-3)


def test_a_step_of_the_solver_comes_nearer_to_the_way_the_shorter_it_is() -> None:
    latent, timestep = noise(), torch.tensor([999, 759, 499, 279])
    errors = []
    for stride in (20, 10, 5):
        found = solver_step(lambda x, t: teacher(x, t, NOTHING), SCHEDULE, latent, timestep, timestep - stride)
        errors.append((found - moved(latent, timestep, timestep - stride)).abs().max())
    assert errors[0] < 0.02
    assert 3 < errors[0] / errors[1] < 5  # one step of a first-order method is off by the square of its length
    assert 3 < errors[1] / errors[2] < 5


def test_a_walk_keeps_its_places_and_ends_where_the_way_ends() -> None:
    start = noise()
    found = walk(lambda x, t: teacher(x, t, NOTHING), SCHEDULE, start, 50)
    assert found.timesteps.tolist() == list(range(999, 0, -20))
    assert found.places.shape == (4, 50, 2, 4, 4)
    torch.testing.assert_close(found.places[:, 0], start)
    begun, end = torch.full((4,), 999), torch.zeros(4, dtype=torch.long)
    halfway = moved(start, begun, torch.full((4,), 499))
    assert (found.places[:, 25] - halfway).abs().max() < 0.02
    finer = walk(lambda x, t: teacher(x, t, NOTHING), SCHEDULE, start, 200)
    errors = [(each.end - moved(start, begun, end)).abs().max() for each in (found, finer)]
    assert errors[1] < 0.03
    assert 3 < errors[0] / errors[1] < 5  # a whole way of a first-order method is off by the length of its steps


def test_the_exact_student_jumps_to_the_end_from_everywhere() -> None:
    start = noise()
    begun, end = torch.full((4,), 999), torch.zeros(4, dtype=torch.long)
    for timestep in (999, 499, 19, 1, 0):
        place = moved(start, begun, torch.full((4,), timestep))
        found = jump(lambda x, t: exact_student(x, t, NOTHING), SCHEDULE, place, torch.full((4,), timestep))
        torch.testing.assert_close(found, moved(start, begun, end), rtol=1e-3, atol=1e-3)


def test_small_errors_count_squared_and_large_ones_as_they_are() -> None:
    width = 0.1
    assert float(pseudo_huber(torch.full((1, 1, 2, 2), 1e-3), width)) == pytest.approx(1e-6 / (2 * width), rel=1e-2)
    assert float(pseudo_huber(torch.full((1, 1, 2, 2), -10.0), width)) == pytest.approx(10 - width, rel=1e-3)
    assert pseudo_huber(torch.zeros(3, 1, 2, 2), width).tolist() == [0, 0, 0]
