"""Steps whose gradients are not finite: left out and counted, and too many of them end the run."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from safelight.errors import BadInput
from safelight.training.engine.checkpoint import checkpoints
from safelight.training.engine.loop import gradients, take_step, train
from safelight.training.engine.noise import SampleNoise
from safelight.training.engine.settings import LoopConfig
from safelight.training.engine.spread import Lone
from safelight.training.engine.state import State, begin, resume, save
from safelight.training.engine.stream import Batch
from tests.training.tiny_tasks import PlainTask, loop_config, run, stored

torch.set_num_threads(1)


class Sometimes(PlainTask):
    """A loss that is not finite at some steps, which the noise's positions tell."""

    def __init__(self, bad: set[int], value: float = math.nan) -> None:
        super().__init__()
        self.bad = bad
        self.value = value

    def loss(self, batch: torch.Tensor, noise: SampleNoise) -> dict[str, torch.Tensor]:
        losses = super().loss(batch, noise)
        if noise.positions[0] // 4 + 1 in self.bad:
            return {name: loss * self.value for name, loss in losses.items()}
        return losses


class NoLines:
    def figures(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_bad_step_changes_nothing_and_is_counted(tmp_path: Path, value: float) -> None:
    task = Sometimes({3, 5}, value)
    steps = train(task, loop_config(steps=6), tmp_path)
    weights = []
    for step in steps:
        weights.append(task.network[0].weight.detach().clone())
        assert step.figures.get("skipped", 0) == sum(bad <= step.step for bad in (3, 5))
    same = [torch.equal(before, after) for before, after in pairwise(weights[:5])]
    assert same == [False, True, False, True]
    assert all(tensor.isfinite().all() for tensor in stored(tmp_path).values())
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["training/loss"] for line in lines if "training/loss" in line]
    assert [loss is None for loss in losses] == [False, False, True, False, True, False]


def test_the_count_survives_an_interruption(tmp_path: Path) -> None:
    config = loop_config(patience=3)
    bad = {2, 3, 5, 6}
    run(Sometimes(bad), config, tmp_path / "whole")
    for stop in (2, 5, 8):
        run(Sometimes(bad), config, tmp_path / "parts", stop=stop)
    run(Sometimes(bad), config, tmp_path / "parts")
    for name in ("checkpoints/step-00000008.safetensors", "log.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


@pytest.mark.parametrize("needs_all", [False, True])
def test_several_in_a_row_stop_the_run_with_the_last_good_weights(
    needs_all: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lone, "needs_all", needs_all)  # as where each process has a part of every weight
    config = loop_config(steps=9, learning_rate=0.5, patience=3)
    task = Sometimes({2, 4, 5, 6, 7, 8})
    taken = []
    with pytest.raises(BadInput) as error:
        for step in train(task, config, tmp_path):
            taken.append(step.step)
    assert taken == [1, 2, 3, 4, 5]
    for word in (
        "3 steps in a row, up to step 6",
        "weights of step 3 are kept",
        "loop.learning_rate below 0.5",
        "fp32",
    ):
        assert word in str(error.value)
    run(Sometimes({2}), loop_config(steps=9, learning_rate=0.5), tmp_path / "good", stop=3)
    for name, tensor in stored(tmp_path / "good").items():
        assert torch.equal(tensor, stored(tmp_path)[name]), name
    assert [step.step for step in run(Sometimes(set()), config, tmp_path)] == [7, 8, 9]  # once what was wrong is right


def test_a_resumed_run_of_bad_steps_has_its_patience_again(tmp_path: Path) -> None:
    for until in (2, 4):
        with pytest.raises(BadInput, match=f"2 steps in a row, up to step {until},"):
            run(Sometimes(set(range(9))), loop_config(patience=2), tmp_path)


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    task = PlainTask()
    steps = train(task, loop_config(save_every=2), tmp_path)
    next(steps), next(steps)
    with torch.no_grad():
        task.network[0].weight[0] = math.inf
    with pytest.raises(
        BadInput, match=r"weights after step 2 are not finite.*the checkpoint of step 2 is the last good"
    ):
        save(steps.gi_frame.f_locals["state"], tmp_path / "checkpoints", keep=2)
    assert [path.stem for path in checkpoints(tmp_path / "checkpoints")] == ["step-00000002"]
    assert all(tensor.isfinite().all() for tensor in stored(tmp_path).values())


def half_precision_state(task: PlainTask, config: LoopConfig, scale: float) -> State:
    """With the scaler that fp16 has on a GPU."""
    state = begin(task.network, config, {})
    state.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=2)
    return state


def steps_of(task: PlainTask, config: LoopConfig, state: State, values: list[float]) -> None:
    for number, value in enumerate(values):
        batch = Batch(torch.full((4, 2, 4, 4), value), SampleNoise(0, range(4 * number, 4 * number + 4)))
        take_step(task, config, state, [batch], NoLines())  # type: ignore[arg-type]


def test_a_scaled_loss_gives_the_same_step(tmp_path: Path) -> None:
    ends = []
    for scale in (None, 1024.0):
        task = PlainTask()
        state = (
            begin(task.network, loop_config(), {})
            if scale is None
            else half_precision_state(task, loop_config(), scale)
        )
        steps_of(task, loop_config(), state, [1.0, 2.0, 3.0])
        ends.append(task.network[0].weight.detach())
        assert state.place.skipped == 0
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-6, atol=1e-7)


def test_an_overflow_halves_the_scale_and_the_scale_is_kept_over_an_interruption(tmp_path: Path) -> None:
    task = PlainTask()
    state = half_precision_state(task, loop_config(), 1024.0)
    steps_of(task, loop_config(), state, [1.0, math.inf, math.inf, 1.0])
    assert (state.place.skipped, state.scaler.get_scale()) == (2, 256.0)
    save(state, tmp_path, keep=2)
    again = half_precision_state(PlainTask(), loop_config(), 4.0)
    resume(again, tmp_path, ())
    assert again.scaler.state_dict() == state.scaler.state_dict()
    steps_of(task, loop_config(), state, [2.0])
    assert state.scaler.get_scale() == 512.0  # two good steps in a row


def test_half_precision_needs_a_gpu() -> None:
    assert loop_config(precision="fp16", device="cuda:0").precision == "fp16"
    with pytest.raises(
        BadInput, match=r'loop\.precision is "fp16", which needs a GPU; on \'cpu\' take "bf16" or "fp32"'
    ):
        loop_config(precision="fp16")


def test_the_terms_of_several_batches_are_their_means() -> None:
    task, config = PlainTask(), loop_config(accumulate=2)
    state = begin(task.network, config, {})

    def parts() -> list[Batch]:
        return [Batch(torch.full((4, 2, 4, 4), value), SampleNoise(0, range(4))) for value in (1.0, 3.0)]

    both, _ = gradients(task, config, state, parts())
    alone = [task.loss(part.samples, part.noise)["double"].detach() for part in parts()]
    torch.testing.assert_close(both["double"], sum(alone) / 2)
