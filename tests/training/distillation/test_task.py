"""Students learn what their methods ask, resume exactly, and draw when they are opened as models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

import safelight
from safelight.errors import BadInput
from safelight.training.distillation.task import DistillationTask, distillation_task
from safelight.training.engine.lock import Claim
from safelight.training.running import run_stage
from safelight.training.stages import Inputs
from safelight.weights import save_folder
from tests.data.shapes import SIDE, records, write_folder
from tests.training.distillation.tiny_students import METHODS, recipe, student_task, teacher_parts
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import loop_config, run, stored


@pytest.mark.parametrize("method", METHODS)
def test_it_overfits_one_batch(method: str, tmp_path: Path) -> None:
    losses = losses_of_one_batch(student_task(tmp_path, method), range(4), steps=50, rate=5e-3)
    assert min(losses[-10:]) < losses[0] / 2


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(method: str, tmp_path: Path) -> None:
    config = loop_config(steps=6, precision="bf16", workers=2)
    run(student_task(tmp_path / "whole", method), config, tmp_path / "whole")
    run(student_task(tmp_path / "broken", method), config, tmp_path / "broken", stop=3)
    torch.manual_seed(99)
    run(student_task(tmp_path / "broken", method), config, tmp_path / "broken")
    whole, broken = stored(tmp_path / "whole"), stored(tmp_path / "broken")
    assert whole.keys() == broken.keys()
    assert all(torch.equal(tensor, broken[name]) for name, tensor in whole.items())
    assert (tmp_path / "whole/log.jsonl").read_bytes() == (tmp_path / "broken/log.jsonl").read_bytes()


class OnlyScalesDiffer:
    """The same level and the same noise for every sample, and guidance scales from the lowest to the highest."""

    def __init__(self) -> None:
        self.shares = iter((torch.full((6,), 0.6), torch.linspace(0, 1, 6)))

    def uniform(self) -> torch.Tensor:
        return next(self.shares)

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(1, *shape, generator=torch.Generator().manual_seed(0)).expand(6, *shape)


def test_a_student_learns_what_the_scale_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = student_task(tmp_path, "guidance", lowest_guidance=1.0, highest_guidance=9.0)
    one = task.sample(0, Random(0))
    batch = {"latent": one["latent"].expand(6, -1, -1, -1), "caption": [one["caption"]] * 6}
    asked: list[torch.Tensor] = []
    predict = task.teacher.predict
    monkeypatch.setattr(task.teacher, "predict", lambda *given: asked.append(predict(*given)) or asked[-1])
    optimiser = torch.optim.Adam(task.network.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = task.loss(batch, OnlyScalesDiffer())["loss"]  # type: ignore[arg-type]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    deaf = (asked[0] - asked[0].mean(dim=0)).square().mean()  # the least error of one that is not told the scale
    assert losses[0] > deaf
    assert losses[-1] < 0.3 * deaf


@pytest.mark.parametrize("method", ["consistency", "trajectories"])
def test_one_jump_comes_nearer_to_the_picture_of_the_teacher(method: str, tmp_path: Path) -> None:
    task = student_task(tmp_path, method)
    with torch.no_grad():
        before = task.evaluate()["distance"]
        torch.manual_seed(99)
        assert before == task.evaluate()["distance"]
    config = loop_config(steps=40, batch_size=8, learning_rate=5e-3, average_decay=0.9)
    assert run(task, config, tmp_path)[-1].figures["distance"] < 0.9 * before


@pytest.mark.parametrize("method", METHODS)
def test_what_was_learnt_is_a_model_like_any_other(method: str, tmp_path: Path) -> None:
    task = student_task(tmp_path, method, prompts=("a red circle", "a blue bar"))
    run(task, loop_config(steps=2), tmp_path)
    with torch.no_grad():
        sheet = task.sheet()
    assert sheet is not None
    assert sheet.size == (2 * SIDE, SIDE)
    pipe = safelight.load(tmp_path / "model", dtype="float32", device="cpu")
    averages = {name.removeprefix("average/"): value for name, value in stored(tmp_path).items() if "average/" in name}
    assert all(torch.equal(value, averages[name]) for name, value in pipe.unet.named_parameters())
    drawn = pipe("a red circle", seed=0)
    assert drawn.images[0].size == (SIDE, SIDE)
    few = ("lcm", 4)
    assert (drawn.recipes[0].sampler, drawn.recipes[0].num_inference_steps) == (
        ("dpmpp_2m", 25) if method == "guidance" else few
    )


def test_the_stage_opens_a_model_and_leaves_one_with_its_card(tmp_path: Path) -> None:
    save_folder(tmp_path / "teacher", teacher_parts())
    inputs = Inputs(
        out=tmp_path / "run",
        claim=Claim(tmp_path / "run"),
        data=write_folder(tmp_path / "data", "none"),
        model=str(tmp_path / "teacher"),
    )
    settings = replace(recipe("trajectories"), loop=loop_config(steps=1))
    assert [progress.step for progress in run_stage("distill", inputs, settings)] == [1]
    student = safelight.load(tmp_path / "run/model", device="cpu")
    assert student.usual["sampler"] == "lcm"
    for name in ("guidance_start", "guidance_end"):
        with pytest.raises(BadInput, match=rf"{name} (is )?0\.5.*this model was distilled with its guidance inside"):
            student("a red circle", **{name: 0.5})
    assert (tmp_path / "run/model/README.md").is_file()


def test_another_teacher_is_another_run(tmp_path: Path) -> None:
    task = student_task(tmp_path, "guidance")
    config = loop_config(steps=4)
    run(task, config, tmp_path, stop=2)
    changed = student_task(tmp_path, "guidance")
    with torch.no_grad():
        next(changed.teacher.parts.unet.parameters()).flatten()[0] += 1
    other = DistillationTask(changed.teacher, changed.lesson, changed.samples, changed.truth, recipe("guidance"))
    with pytest.raises(BadInput, match="the data is another collection"):
        run(other, config, tmp_path)


def test_pictures_without_a_caption_get_that_of_the_recipe(tmp_path: Path) -> None:
    bare = [replace(record, captions=()) for record in records("none")]
    with pytest.raises(BadInput, match="caption"):
        student_task(tmp_path, "trajectories", bare)
    settings = recipe("trajectories")
    settings = replace(settings, data=replace(settings.data, caption="a red apple"))
    task = distillation_task(teacher_parts(), settings, bare, tmp_path)
    assert task.sample(0, Random(0))["caption"].startswith("a red apple")
