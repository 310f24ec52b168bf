"""The loop: what it does at which step, and that no interruption changes what comes out."""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from safelight.errors import BadCheckpoint, BadInput
from safelight.training.engine.average import WeightAverage
from safelight.training.engine.checkpoint import checkpoints
from safelight.training.engine.loop import learning_rate, train
from safelight.training.engine.stream import batches
from tests.training.tiny_tasks import TASKS, PlainTask, loop_config, run, stored

torch.set_num_threads(1)


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_the_learning_rate_rises_and_falls() -> None:
    config = loop_config(steps=1010, warmup=10, learning_rate=2.0)
    rise = [learning_rate(config, step) for step in range(10)]
    assert rise == pytest.approx([0.2 * (step + 1) for step in range(10)], rel=1e-3)
    assert learning_rate(config, 10) == 2.0
    assert learning_rate(config, 510) == pytest.approx(2 * 0.505)
    assert learning_rate(config, 260) == pytest.approx(2 * (0.01 + 0.99 * (1 + math.sqrt(0.5)) / 2))
    assert learning_rate(config, 1010) == learning_rate(config, 5000) == pytest.approx(2 * 0.01)
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
    assert len(list(batches(task, loop_config(steps=5, accumulate=2), 0))) == 10
    epochs = [task.seen[start : start + 10] for start in range(0, 40, 10)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 4
    assert len(set(map(tuple, epochs))) == 4


def test_the_batches_of_a_step_do_not_depend_on_where_the_run_began_or_on_who_loads_them() -> None:
    def drawn(first_step: int = 0, **changes: Any) -> list[torch.Tensor]:
        loaded = batches(PlainTask(), loop_config(**changes), first_step)
        return [
            torch.cat([batch.samples, batch.noise.normal(2, 4, 4), batch.noise.uniform(2, 4, 4)]) for batch in loaded
        ]

    whole = drawn()
    assert len(whole) == 8
    assert all(map(torch.equal, whole[5:], drawn(5)))
    for workers in (1, 3):
        assert all(map(torch.equal, whole, drawn(workers=workers)))
        assert all(map(torch.equal, whole[2:], drawn(2, workers=workers)))
    for mine, other in zip(whole, drawn(seed=1), strict=True):
        assert not any(torch.equal(mine[rows], other[rows]) for rows in (slice(0, 4), slice(4, 8), slice(8, 12)))
    parts = drawn(batch_size=2, accumulate=2)
    assert all(torch.equal(whole[step][:2], parts[2 * step][:2]) for step in range(8))
    assert all(torch.equal(whole[step][4 + 2 : 4 + 4], parts[2 * step + 1][2:4]) for step in range(8))  # the noise too


def test_what_goes_wrong_in_a_loader_is_told_and_none_goes_on(tmp_path: Path) -> None:
    class Slow(PlainTask):
        def sample(self, index: int, random: Any) -> torch.Tensor:
            time.sleep(0.005)
            return super().sample(index, random)

    class Broken(PlainTask):
        def sample(self, index: int, random: Any) -> torch.Tensor:
            raise BadInput(f"The picture of sample {index} cannot be read.")

    with pytest.raises(BadInput, match="The picture of sample"):
        run(Broken(), loop_config(workers=2), tmp_path)
    task = Slow()
    run(task, loop_config(workers=1), tmp_path, stop=2)
    loaded = len(task.seen)
    time.sleep(0.1)
    assert len(task.seen) == loaded
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


@pytest.mark.parametrize("name", ["plain", "autoencoder", "diffusion"])
def test_accumulated_batches_are_one_large_batch(tmp_path: Path, name: str) -> None:
    # CLIP is left out: its loss compares the pairs of a batch with each other.
    task_of = {**TASKS, "plain": lambda folder: PlainTask()}[name]
    losses, weights = [], []
    for changes in ({"batch_size": 12}, {"batch_size": 4, "accumulate": 3}):
        task = task_of(tmp_path)
        taken = run(task, loop_config(steps=3, **changes), tmp_path / str(changes["batch_size"]))
        losses.append(torch.tensor([step.figures["loss"] for step in taken]))
        weights.append(torch.cat([weight.detach().flatten() for weight in task.network.parameters()]))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=0)
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-4)


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


def test_what_a_killed_trainer_left_half_written_is_swept_away(tmp_path: Path) -> None:
    run(PlainTask(), loop_config(), tmp_path, stop=2)
    debris = (
        "checkpoints/unfinished/.tmp1a2b",
        ".vae.1f.partial/config.json",
        "a.partial",
        "sheets/.step.png.1.partial",
    )
    for name in (*debris, "model/mine.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    run(PlainTask(), loop_config(), tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert "model/mine.txt" in left
    assert not [path for path in left if "partial" in path or "unfinished" in path]


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
        "log.jsonl",
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
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "training/loss" in line] == list(range(1, 9))
    assert [line["step"] for line in lines if "held-out/first" in line] == [4, 8]
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
    assert (tmp_path / "whole" / "log.jsonl").read_bytes() == (tmp_path / "parts" / "log.jsonl").read_bytes()


def test_a_step_that_was_torn_apart_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(self: WeightAverage, step: int) -> None:
        if step == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(WeightAverage, "update", torn)
    with pytest.raises(KeyboardInterrupt):
        run(PlainTask(), loop_config(save_every=2), tmp_path)
    assert [path.stem for path in checkpoints(tmp_path / "checkpoints")] == ["step-00000002"]


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


def test_a_damaged_newest_checkpoint_is_set_aside_and_the_end_is_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(PlainTask(), loop_config(), tmp_path / "whole")
    run(PlainTask(), loop_config(save_every=2), tmp_path / "parts", stop=4)
    newest = checkpoints(tmp_path / "parts" / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    with caplog.at_level(logging.WARNING):
        assert run(PlainTask(), loop_config(), tmp_path / "parts")[0].step == 3
    assert "step-00000004.safetensors' is damaged" in caplog.text
    for name in ("checkpoints/step-00000008.safetensors", "log.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_a_device_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="device 'warp9' is not available"):
        train(PlainTask(), loop_config(device="warp9"), tmp_path)
