"""What the methods ask and count, with a teacher that is known exactly."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from safelight.errors import BadInput
from safelight.training.distillation.lessons import LESSONS, ConsistencyLesson, GuidanceLesson, TrajectoryLesson
from safelight.training.distillation.settings import DistillationConfig
from safelight.training.engine.noise import SampleNoise
from tests.training.distillation.gaussian import SCHEDULE, SPREAD, exact_student, moved, teacher

PICTURES = {"latent": SPREAD * torch.randn(64, 2, 4, 4, generator=torch.Generator().manual_seed(7))}
NOISE = SampleNoise(0, range(64))


def settings(**changes: Any) -> DistillationConfig:
    return DistillationConfig(**{"huber": 1e-6, **changes})


def consistency(grid: int, student: Any) -> float:
    lesson = ConsistencyLesson(SCHEDULE, settings(grid=grid))
    return float(lesson.errors(student, teacher, PICTURES, SampleNoise(0, range(64))).mean())


def test_the_exact_student_is_consistent_and_the_more_so_the_finer_the_grid() -> None:
    errors = [consistency(grid, exact_student) for grid in (25, 50, 100)]
    assert errors[1] < 2e-3
    assert all(2.5 < coarse / fine < 6 for coarse, fine in pairwise(errors))  # a step's error falls as its square
    assert consistency(50, teacher) > 5 * errors[1]  # which jumps to the mean of all pictures, and so is none
    assert consistency(50, lambda x, t, scale: x) > 5 * errors[1]


def test_the_target_of_consistency_carries_no_gradient() -> None:
    weight = torch.ones((), requires_grad=True)
    asked: list[bool] = []

    def student(latent: Tensor, timestep: Tensor, guidance: Tensor) -> Tensor:
        asked.append(torch.is_grad_enabled())
        return weight * latent

    ConsistencyLesson(SCHEDULE, settings()).errors(student, teacher, PICTURES, NOISE).mean().backward()
    assert sorted(asked) == [False, True]
    assert weight.grad is not None


def test_consistency_asks_at_the_places_of_the_grid_and_the_teacher_at_the_scale_of_the_student() -> None:
    told: dict[str, list[Tensor]] = {"student": [], "teacher": [], "scales": []}

    def noted(name: str) -> Any:
        def predict(latent: Tensor, timestep: Tensor, guidance: Tensor) -> Tensor:
            told[name].append(timestep)
            told["scales"].append(guidance)
            return latent

        return predict

    lesson = ConsistencyLesson(SCHEDULE, settings(grid=4, lowest_guidance=2.0, highest_guidance=5.0))
    lesson.errors(noted("student"), noted("teacher"), PICTURES, SampleNoise(0, range(64)))
    assert set(told["teacher"][0].tolist()) == {249, 499, 749, 999}
    before, at = sorted(told["student"], key=lambda timestep: int(timestep.sum()))
    assert torch.equal(at, told["teacher"][0])
    assert torch.equal(before, (at - 250).clamp(min=0))
    assert all(torch.equal(scale, told["scales"][0]) for scale in told["scales"])
    assert 2 <= told["scales"][0].min() < 2.3
    assert 4.7 < told["scales"][0].max() <= 5


def test_a_student_that_predicts_what_its_teacher_does_knows_guidance() -> None:
    def steered(latent: Tensor, timestep: Tensor, guidance: Tensor) -> Tensor:
        return guidance.reshape(-1, 1, 1, 1) * teacher(latent, timestep, guidance)

    lesson = GuidanceLesson(SCHEDULE, settings())
    assert lesson.errors(steered, steered, PICTURES, NOISE).tolist() == [0.0] * 64
    assert lesson.errors(teacher, steered, PICTURES, NOISE).min() > 0


def test_the_end_of_a_way_is_what_a_place_on_it_is_asked_for() -> None:
    start, begun = torch.randn(8, 2, 4, 4), torch.full((8,), 999)
    timestep = torch.tensor([999, 899, 699, 499, 299, 99, 19, 1])
    batch = {
        "latent": moved(start, begun, timestep),
        "timestep": timestep,
        "end": moved(start, begun, torch.zeros(8, dtype=torch.long)),
        "guidance": torch.ones(8),
    }
    lesson = TrajectoryLesson(SCHEDULE, settings())

    def never(*asked: Tensor) -> Tensor:
        raise AssertionError("the teacher has walked already")

    assert lesson.errors(exact_student, never, batch, NOISE).max() < 1e-4
    assert lesson.errors(teacher, never, batch, NOISE).max() > 0.05
    torch.testing.assert_close(lesson.drawn(exact_student, start, torch.ones(8)), batch["end"], rtol=1e-3, atol=1e-3)


def test_a_student_of_guidance_draws_along_the_whole_way() -> None:
    start, ends = torch.randn(8, 2, 4, 4), torch.zeros(8, dtype=torch.long)
    lesson = GuidanceLesson(SCHEDULE, settings(grid=200))
    truth = moved(start, torch.full((8,), 999), ends)
    torch.testing.assert_close(lesson.drawn(teacher, start, torch.ones(8)), truth, rtol=0.1, atol=0.03)


@pytest.mark.parametrize("method", ["consistency", "trajectories"])
def test_the_grid_must_divide_the_levels(method: str) -> None:
    with pytest.raises(BadInput, match=r"distill.grid is 7; it must divide 1000"):
        LESSONS[method](SCHEDULE, settings(grid=7))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("lowest_guidance", -1.0, r"distill.lowest_guidance is -1.0; it must be at least 0"),
        ("highest_guidance", 2.0, r"distill.highest_guidance is 2; it must be at least lowest_guidance, 3"),
        ("guidance_width", 7, r"distill.guidance_width is 7; it must be an even number from 4"),
        ("grid", 1, r"distill.grid is 1; it must be from 2 to 1000"),
        ("huber", 0.0, r"distill.huber is 0; it must be above 0"),
        ("trajectories", 0, r"distill.trajectories is 0; it must be at least 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(field: str, value: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        DistillationConfig(**{field: value})
