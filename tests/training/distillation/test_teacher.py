"""The teacher's guidance, and that a student begins as its teacher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from safelight.diffusion.conditioning import Conditioning
from safelight.diffusion.guidance import guided
from safelight.errors import BadInput
from safelight.training.diffusion.learner import unet_prediction
from safelight.training.distillation.student import student_of
from safelight.training.distillation.task import lead
from safelight.training.distillation.teacher import Teacher
from safelight.training.distillation.ways import Terms
from safelight.training.engine.settings import LoopConfig
from safelight.unet import UNet
from tests.training.distillation.tiny_students import teacher_parts
from tests.training.tiny_tasks import UNET

LATENT = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
TIMESTEP = torch.tensor([10, 500, 999])
SCALES = torch.tensor([1.0, 3.0, 7.5])
CAPTIONS = ["a red circle", "a blue bar", "a green cross"]


def test_each_picture_is_guided_at_its_own_scale() -> None:
    made = teacher_parts()
    teacher = Teacher(made)
    context = teacher.read(CAPTIONS)
    found = teacher.predict(LATENT, TIMESTEP, context, SCALES)
    nothing = teacher.read([""])
    for row, scale in enumerate(SCALES.tolist()):
        one = slice(row, row + 1)
        expected = guided(
            lambda x, t, shown: unet_prediction(made, x, t, Conditioning(context=shown)), context[one], nothing, scale
        )
        torch.testing.assert_close(found[one], expected(LATENT[one], TIMESTEP[one]), rtol=1e-3, atol=1e-4)
    assert (found[1:] - teacher.predict(LATENT, TIMESTEP, context, torch.ones(3))[1:]).abs().max() > 0.1


@pytest.mark.parametrize(
    ("steered", "rows"),
    [
        ((0.0, 1.0), [6, 6, 6, 6]),
        ((0.0, 0.5), [6, 6, 3, 3]),
        ((0.25, 0.5), [3, 6, 3, 3]),
        ((0.25, 1.0), [3, 6, 6, 6]),
        ((0.0, 0.0), [3, 3, 3, 3]),
    ],
)
def test_it_walks_with_guidance_where_it_should(
    monkeypatch: pytest.MonkeyPatch, steered: tuple[float, float], rows: list[int]
) -> None:
    made = teacher_parts()
    teacher = Teacher(made)
    seen: list[int] = []
    forward = made.unet.forward
    monkeypatch.setattr(made.unet, "forward", lambda x, *others: seen.append(len(x)) or forward(x, *others))
    terms = Terms(teacher="t", steps=4, guidance=(3.0, 3.0), steered=steered, shape=(4, 8, 8), seed=0)
    way = lead(teacher, LoopConfig(precision="fp32"), terms, CAPTIONS, LATENT, SCALES)
    assert seen == rows
    assert way.places.shape == (3, 4, 4, 8, 8)


def test_without_guidance_it_predicts_what_a_scale_of_one_gives() -> None:
    teacher = Teacher(teacher_parts())
    context = teacher.read(CAPTIONS)
    told = teacher.predict(LATENT, TIMESTEP, context, torch.ones(3))
    torch.testing.assert_close(teacher.alone(LATENT, TIMESTEP, context), told, rtol=1e-4, atol=1e-5)
    student = Teacher(student_of(teacher.parts, 16, "lcm"))
    told = student.predict(LATENT, TIMESTEP, context, torch.ones(3))
    assert torch.equal(student.alone(LATENT, TIMESTEP, context), told)


def test_the_teacher_does_not_learn() -> None:
    teacher = Teacher(teacher_parts())
    assert not any(parameter.requires_grad for parameter in teacher.parts.unet.parameters())
    found = teacher.predict(LATENT.requires_grad_(), TIMESTEP, teacher.read(CAPTIONS), SCALES)
    LATENT.requires_grad_(False)
    assert not found.requires_grad


def test_a_student_begins_as_its_teacher_without_guidance_whatever_scale_it_is_told() -> None:
    teacher = Teacher(teacher_parts())
    student, context = student_of(teacher.parts, 16), teacher.read(CAPTIONS)
    shown = Conditioning(context=context, guidance=SCALES)
    found = unet_prediction(student, LATENT, TIMESTEP, shown)
    torch.testing.assert_close(found, teacher.predict(LATENT, TIMESTEP, context, torch.ones(3)), rtol=1e-4, atol=1e-5)
    assert student.unet.config.guidance_width == 16
    assert all(parameter.requires_grad for parameter in student.unet.parameters())
    own = {parameter.data_ptr() for parameter in student.unet.parameters()}
    assert not own & {parameter.data_ptr() for parameter in teacher.parts.unet.parameters()}


def test_a_student_has_no_use_for_its_teachers_lora() -> None:
    beside = {"few_steps": Path("lora"), "tiny_decoder": Path("tiny")}
    left = student_of(replace(teacher_parts(), **beside), 16)
    assert (left.few_steps, left.tiny_decoder) == (None, Path("tiny"))


def test_a_student_can_be_a_teacher_and_is_asked_once() -> None:
    first = student_of(Teacher(teacher_parts()).parts, 16)
    assert first.unet.guidance_projection is not None
    torch.nn.init.normal_(first.unet.guidance_projection.weight)
    teacher = Teacher(first)
    context = teacher.read(CAPTIONS)
    found = teacher.predict(LATENT, TIMESTEP, context, SCALES)
    expected = unet_prediction(first, LATENT, TIMESTEP, Conditioning(context=context, guidance=SCALES))
    torch.testing.assert_close(found, expected)
    second = student_of(first, 64)
    assert second.unet.config.guidance_width == 16
    again = unet_prediction(second, LATENT, TIMESTEP, Conditioning(context=context, guidance=SCALES))
    torch.testing.assert_close(again, expected)


def test_only_a_model_that_draws_from_text_can_be_distilled() -> None:
    other = teacher_parts()
    other.unet = UNet(replace(UNET, in_channels=9))
    with pytest.raises(BadInput, match="one of the kind 'inpainting'; it must be of the kind 'text'"):
        Teacher(other)
