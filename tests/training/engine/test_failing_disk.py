"""A disk that fails at the k-th change, for every k: one sentence, good checkpoints, and the same end after all."""

from __future__ import annotations

import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from safelight.errors import BadInput
from safelight.training.engine.checkpoint import checkpoints, load_checkpoint
from safelight.training.engine.log import Log
from safelight.weights.files import write_tensors
from tests.training.engine.failing_disk import FailingDisk
from tests.training.engine.real_runs import differing, outcome, quick_processes
from tests.training.tiny_tasks import PlainTask, loop_config, run

CONFIG = loop_config(steps=6, save_every=2, evaluate_every=3)


class ExportingTask(PlainTask):
    """Leaves a file behind, as the real ones do."""

    def export(self, folder: Path) -> None:
        write_tensors(folder / "model" / "weights.safetensors", dict(self.network.named_parameters()))


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TensorBoard, whose writing happens in a thread of its own."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


def prepared(folder: Path) -> Path:
    (folder / "model").mkdir(parents=True)
    return folder


def whole_checkpoints(folder: Path) -> list[int]:
    """The steps of all checkpoints; raises where one of them is not good."""
    return [load_checkpoint(path)[1]["step"] for path in checkpoints(folder / "checkpoints")]


@pytest.mark.parametrize("recovers", [True, False], ids=["once", "from then on"])
def test_whatever_change_fails_the_end_is_the_same(tmp_path: Path, plain: None, recovers: bool) -> None:
    run(ExportingTask(), CONFIG, prepared(tmp_path / "whole"))
    expected = outcome(tmp_path / "whole")
    seen: set[str] = set()
    for number in range(1, 1000):
        folder = prepared(tmp_path / str(number))
        disk = FailingDisk(number, number + 1 if recovers else math.inf)
        with pytest.MonkeyPatch.context() as patch:
            disk.install(patch)
            message = refusal(folder)
        if not disk.failed:
            break
        seen.add(disk.changes[number - 1])
        if message is None:  # a folder that was there already, or the lock's file, which may stay
            assert disk.changes[number - 1] in ("mkdir", "unlink")
        else:
            assert "\n" not in message
            assert str(folder) in message
        before = [step for step in (2, 4) if disk.changes[: number - 1].count("save_file") > step / 2]
        assert not before or whole_checkpoints(folder)[-1] >= before[-1]
        run(ExportingTask(), CONFIG, folder)
        assert not differing(expected, outcome(folder)), (number, disk.changes[number - 1])
        assert whole_checkpoints(folder)[-2:] == [4, 6]
        assert not [path for path in folder.rglob("*") if path.name == "unfinished" or path.suffix == ".partial"]
    assert seen >= {
        "mkdir",
        "rmdir",
        "fsync",
        "replace",
        "unlink",
        "save_file",
        "save_picture",
        "write a line",
        "write",
    }


def refusal(folder: Path) -> str | None:
    """The sentence with which a run ends; None for one that came to its end."""
    try:
        run(ExportingTask(), CONFIG, folder)
    except BadInput as error:
        return str(error)
    return None


def die_at(number: int, folder: Path) -> None:
    """Train until the change of that number, and be killed there."""
    sys.modules["torch.utils.tensorboard"] = None  # type: ignore[assignment]
    with pytest.MonkeyPatch.context() as patch:
        disk = FailingDisk(number, math.inf, lambda: os.kill(os.getpid(), signal.SIGKILL))
        disk.install(patch)
        run(ExportingTask(), CONFIG, folder)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_killed_at_any_change_the_end_is_the_same(tmp_path: Path, plain: None) -> None:
    run(ExportingTask(), CONFIG, prepared(tmp_path / "whole"))
    expected = outcome(tmp_path / "whole")
    processes = quick_processes()
    for number in range(1, 1000):
        folder = prepared(tmp_path / str(number))
        trainer = processes.Process(target=die_at, args=(number, folder))
        trainer.start()
        trainer.join(60)
        if trainer.exitcode == 0:
            break
        assert trainer.exitcode == -signal.SIGKILL
        whole_checkpoints(folder)
        run(ExportingTask(), CONFIG, folder)
        assert not differing(expected, outcome(folder)), number
    assert number > 40


def test_events_that_cannot_be_written_end_the_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def add_scalar(self, *_: Any) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

    with monkeypatch.context() as patch:
        patch.setattr("safelight.training.engine.log.open_events", lambda folder, step: Full())
        with pytest.raises(BadInput, match=r"log' cannot be written: .*No space left on device; the run ends here"):
            run(PlainTask(), CONFIG, tmp_path / "parts")
    for name in ("whole", "parts"):
        run(PlainTask(), CONFIG, tmp_path / name)
    assert not differing(outcome(tmp_path / "whole"), outcome(tmp_path / "parts"))


def test_a_log_that_is_shorter_than_the_checkpoint_tells_goes_on_where_it_ends(tmp_path: Path) -> None:
    log = Log(tmp_path, 0, 0)
    log.figures("training", 1, {"loss": 0.5})
    size = log.sync()
    log.figures("training", 2, {"loss": math.inf})
    log.close()
    for told in (size, 10**6):
        Log(tmp_path, 1, told).close()
        assert (tmp_path / "log.jsonl").read_text() == '{"step": 1, "training/loss": 0.5}\n'
