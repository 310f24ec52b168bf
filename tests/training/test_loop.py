"""The loop: what it does at which step, and that no interruption changes what comes out."""

from __future__ import annotations

import logging
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from safelight.errors import BadCheckpoint, BadInput
from safelight.training.average import WeightAverage
from safelight.training.checkpoint import checkpoints
from safelight.training.loop import learning_rate, train
from safelight.training.stream import batches
from tests.training.tiny_tasks import TASKS, PlainTask, loop_config, run, stored

torch.set_num_threads(1)


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_the_learning_rate_rises_and_falls() -> None:
    config = loop_config(steps=1000, warmup=10, learning_rate=2.0)
    rise = [learning_rate(config, step) for step in range(10)]
    assert rise == pytest.approx([0.2 * (step + 1) for step in range(10)], rel=1e-3)
    assert learning_rate(config, 500) == pytest.approx(2 * 0.505)
    assert learning_rate(config, 250) == pytest.approx(2 * (0.01 + 0.99 * (1 + math.sqrt(0.5)) / 2))
    assert learning_rate(config, 1000) == learning_rate(config, 5000) == pytest.approx(2 * 0.01)
    constant = loop_config(decay="constant", learning_rate=2.0, warmup=0)
    assert {learning_rate(constant, step) for step in range(9)} == {2.0}


def test_the_average_follows_its_law() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    average = WeightAverage(network, decay=0.5)
    expected = 1.0
    for step in range(1, 12):
        nn.init.constant_(network.weight, float(step % 3))
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step % 3)
    assert average.averages["weight"].item() == pytest.approx(expected, rel=1e-5)
    average.swap()
    assert network.weight.item() == pytest.approx(expected, rel=1e-5)
    average.swap()
    assert network.weight.item() == 2.0


def test_each_epoch_sees_every_sample_once_in_an_order_of_its_own() -> None:
    task = PlainTask(size=10)
    assert len(list(batches(task, loop_config(steps=10), 0))) == 10
    epochs = [task.seen[start : start + 10] for start in range(0, 40, 10)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 4
    assert len(set(map(tuple, epochs))) == 4


def test_the_batches_of_a_step_do_not_depend_on_where_the_run_began_or_on_who_loads_them() -> None:
    whole = list(batches(PlainTask(), loop_config(), 0))
    assert all(map(torch.equal, whole[5:], batches(PlainTask(), loop_config(), 5)))
    assert all(map(torch.equal, whole, batches(PlainTask(), loop_config(workers=1), 0)))
    assert not any(map(torch.equal, whole, batches(PlainTask(), loop_config(seed=1), 0)))


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = run(PlainTask(), loop_config(), tmp_path / "whole")
    parts = run(PlainTask(), loop_config(), tmp_path / "parts", stop=3)
    parts += run(PlainTask(), loop_config(), tmp_path / "parts", stop=5)
    last = PlainTask()
    parts += run(last, loop_config(), tmp_path / "parts")
    assert [step.figures for step in whole] == [step.figures for step in parts]
    assert [step.step for step in parts] == list(range(1, 9))
    assert_same(stored(tmp_path / "whole"), stored(tmp_path / "parts"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", TASKS)
def test_every_stage_resumes_exactly(tmp_path: Path, name: str, precision: str) -> None:
    config = loop_config(steps=5, precision=precision, evaluate_every=2)
    run(TASKS[name](tmp_path), config, tmp_path / "whole")
    run(TASKS[name](tmp_path), config, tmp_path / "parts", stop=3)
    run(TASKS[name](tmp_path), config, tmp_path / "parts")
    assert_same(stored(tmp_path / "whole"), stored(tmp_path / "parts"))
    assert all(torch.isfinite(tensor).all() for tensor in stored(tmp_path / "whole").values())


def test_the_averaged_weights_are_evaluated_and_exported_and_the_others_trained(tmp_path: Path) -> None:
    task = PlainTask()
    taken = run(task, loop_config(evaluate_every=2, save_every=2), tmp_path)
    tensors = stored(tmp_path)
    for name, value in task.exported.items():
        assert torch.equal(value, tensors[f"average/{name}"])
        assert not torch.equal(value, tensors[f"weights/{name}"])
    assert ["first" in step.figures for step in taken] == [False, True] * 4
    assert taken[-1].figures["first"] == pytest.approx(float(task.exported["0.weight"].flatten()[0]))
    often = run(PlainTask(), loop_config(evaluate_every=1), tmp_path / "often")
    assert [step.figures["loss"] for step in often] == [step.figures["loss"] for step in taken]


def test_a_run_leaves_checkpoints_sheets_and_a_log(tmp_path: Path) -> None:
    run(PlainTask(), loop_config(save_every=3, evaluate_every=4), tmp_path)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*") if "tfevents" not in path.name)
    assert names == [
        "checkpoints/step-00000006.safetensors",
        "checkpoints/step-00000008.safetensors",
        "sheets/step-00000004.png",
        "sheets/step-00000008.png",
    ]
    assert len(list((tmp_path / "log").iterdir())) == 1


def test_the_log_holds_every_step_once_though_the_run_was_cut_off(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(PlainTask(), loop_config(evaluate_every=4), tmp_path, stop=5)
    (step5,) = checkpoints(tmp_path / "checkpoints")
    step5.rename(tmp_path / "step5")
    run(PlainTask(), loop_config(steps=4, evaluate_every=4, save_every=3), tmp_path)  # begins again
    run(PlainTask(), loop_config(evaluate_every=4), tmp_path)
    log = events.EventAccumulator(str(tmp_path / "log")).Reload()
    assert [event.step for event in log.Scalars("training/loss")] == list(range(1, 9))
    assert [event.step for event in log.Scalars("held-out/first")] == [4, 8]
    assert {"training/double", "sheet"} <= {*log.Tags()["scalars"], *log.Tags()["images"]}


def test_without_tensorboard_training_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with caplog.at_level(logging.WARNING):
        assert len(run(PlainTask(), loop_config(), tmp_path)) == 8
    assert [record.message for record in caplog.records if "TensorBoard is not installed" in record.message]
    assert not (tmp_path / "log").exists()


def test_closing_saves_where_it_stopped(tmp_path: Path) -> None:
    run(PlainTask(), loop_config(), tmp_path, stop=3)
    assert [path.name for path in checkpoints(tmp_path / "checkpoints")] == ["step-00000003.safetensors"]
    train(PlainTask(), loop_config(), tmp_path / "never begun").close()
    assert not (tmp_path / "never begun" / "checkpoints").exists()


def test_a_finished_run_is_only_exported_again(tmp_path: Path) -> None:
    run(PlainTask(), loop_config(), tmp_path)
    again = PlainTask()
    assert run(again, loop_config(), tmp_path) == []
    assert_same(again.exported, {name: stored(tmp_path)[f"average/{name}"] for name in again.exported})


class Interrupted(PlainTask):
    """Ctrl-C at one place of step 4."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def loss(self, *arguments: Any) -> dict[str, torch.Tensor]:
        self.steps = getattr(self, "steps", 0) + 1
        if self.steps == 4 and self.place == "loss":
            raise KeyboardInterrupt
        return super().loss(*arguments)

    def sheet(self) -> None:
        if self.place == "sheet":
            raise KeyboardInterrupt


@pytest.mark.parametrize(("place", "step"), [("loss", 3), ("sheet", 4)])
def test_an_interruption_anywhere_saves_the_last_whole_step(tmp_path: Path, place: str, step: int) -> None:
    config = loop_config(evaluate_every=4)
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(place), config, tmp_path / "parts")
    assert [path.stem for path in checkpoints(tmp_path / "parts" / "checkpoints")] == [f"step-0000000{step}"]
    run(PlainTask(), config, tmp_path / "parts")
    run(PlainTask(), config, tmp_path / "whole")
    assert_same(stored(tmp_path / "whole"), stored(tmp_path / "parts"))


def test_a_step_that_was_torn_apart_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(self: WeightAverage, step: int) -> None:
        if step == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(WeightAverage, "update", torn)
    with pytest.raises(KeyboardInterrupt):
        run(PlainTask(), loop_config(save_every=2), tmp_path)
    assert [path.stem for path in checkpoints(tmp_path / "checkpoints")] == ["step-00000002"]


def test_a_loss_that_runs_away_stops_the_run_before_the_weights_are_spoilt(tmp_path: Path) -> None:
    task = PlainTask()
    steps = train(task, loop_config(learning_rate=0.5), tmp_path)
    next(steps)
    task.loss = lambda batch, generator: {"loss": next(task.network.parameters()).sum() * math.inf}  # type: ignore
    with pytest.raises(BadInput, match=r"step 2 are not finite.*loop\.learning_rate below 0\.5"):
        next(steps)
    assert all(torch.isfinite(tensor).all() for tensor in stored(tmp_path).values())


def test_a_checkpoint_of_another_network_is_refused_with_all_names(tmp_path: Path) -> None:
    run(PlainTask(channels=3), loop_config(), tmp_path, stop=2)
    before = stored(tmp_path)
    with pytest.raises(BadCheckpoint) as error:
        train(PlainTask(channels=5), loop_config(), tmp_path)
    for name in ("0.weight is (3, 2, 3, 3), the recipe's is (5, 2, 3, 3)", "0.bias", "1.weight"):
        assert name in str(error.value)
    other = PlainTask()
    other.network = nn.Sequential(other.network[0], nn.Sequential(other.network[1]))
    with pytest.raises(BadCheckpoint, match=r"2 missing: 1\.0\.bias; 1\.0\.weight\. 2 extra: 1\.bias; 1\.weight"):
        train(other, loop_config(), tmp_path)
    assert_same(before, stored(tmp_path))


def test_a_damaged_newest_checkpoint_is_refused_and_the_one_before_still_good(tmp_path: Path) -> None:
    run(PlainTask(), loop_config(save_every=2), tmp_path, stop=4)
    newest = checkpoints(tmp_path / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.raises(BadCheckpoint, match=r"step-00000004\.safetensors' cannot be read"):
        train(PlainTask(), loop_config(), tmp_path)
    newest.unlink()
    assert run(PlainTask(), loop_config(), tmp_path)[0].step == 3


def test_a_device_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="device 'warp9' is not available"):
        train(PlainTask(), loop_config(device="warp9"), tmp_path)
