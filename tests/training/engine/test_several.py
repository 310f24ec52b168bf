"""Several processes make the run that one makes: the same losses, every sample once, the same checkpoints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from safelight.errors import BadInput
from safelight.training.engine.checkpoint import checkpoints
from safelight.training.engine.processes import ALONE
from tests.data.shapes import write_folder
from tests.training.engine.real_runs import differing, outcome
from tests.training.engine.several import TREE, Case, finish, launched, losses, work
from tests.training.tiny_tasks import stored

torch.set_num_threads(1)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no gloo over TCP in PyTorch's builds")
HALVED = {"batch_size": 4, "accumulate": 3, "evaluate_every": 3, "save_every": 3, "more_averages": [0.9]}


def check_as_one(run: Path, one: Path) -> None:
    """The same losses and weights, but for the order in which numbers are added up."""
    torch.testing.assert_close(losses(run), losses(one), rtol=1e-5, atol=0)
    found, expected = stored(run), stored(one)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=2e-4, msg=name)


def changes(strategy: str, **others: Any) -> dict[str, Any]:
    return {**HALVED, "strategy": strategy, **others}


def exported(run: Path) -> set[str]:
    return {str(path.relative_to(run)) for path in run.rglob("*.safetensors") if "checkpoints" not in path.parts}


def test_two_processes_are_one(tmp_path: Path) -> None:
    cases = [Case(task, str(tmp_path / task), changes("ddp")) for task in ("plain", "clip")]
    stopped = Case("plain", str(tmp_path / "stopped"), changes("ddp"), stop=5)
    alone = Case("plain", str(tmp_path / "went on alone"), changes("ddp"), stop=5)
    finish([*cases, stopped, Case("plain", stopped.folder, changes("ddp")), alone], 2)
    for case in cases:
        one = tmp_path / f"one {case.task}"
        work(Case(case.task, str(one), changes("ddp")), ALONE)
        check_as_one(tmp_path / case.task, one)
    assert not differing(outcome(tmp_path / "plain"), outcome(tmp_path / "stopped"))
    assert checkpoints(Path(alone.folder) / "checkpoints")[-1].stem == "step-00000005"
    work(Case("plain", alone.folder, changes("ddp")), ALONE)
    check_as_one(Path(alone.folder), tmp_path / "one plain")
    seen = [json.loads((tmp_path / "plain" / f"seen-{rank}.json").read_text()) for rank in range(2)]
    check_epochs(seen, 2)


def check_epochs(seen: list[list[int]], share: int) -> None:
    """All processes together see each of the ten samples once an epoch. share: a process's part of a batch."""
    batches = zip(*([part[at : at + share] for at in range(0, len(part), share)] for part in seen), strict=True)
    order = [index for batch in batches for part in batch for index in part]
    assert len(order) == 8 * 3 * 4
    for start in range(0, len(order) - 9, 10):
        assert sorted(order[start : start + 10]) == list(range(10))


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_every_strategy_and_stage_is_the_run_of_one_process(tmp_path: Path, processes: int) -> None:
    names = {"ddp": ("plain", "autoencoder", "clip", "diffusion"), "fsdp": ("plain", "autoencoder", "diffusion")}
    # Eight steps of three batches are enough for differences to grow, if there are any.
    runs = [(strategy, name) for strategy, tasks in names.items() for name in tasks]
    cases = [Case(name, str(tmp_path / strategy / name), changes(strategy)) for strategy, name in runs]
    parts = [
        Case("autoencoder", str(tmp_path / strategy / "parts"), changes(strategy), stop)
        for strategy in names
        for stop in (5, 10**9)
    ]
    finish([*cases, *parts], processes)
    for name in names["ddp"]:
        work(Case(name, str(tmp_path / "one" / name), changes("ddp")), ALONE)
    for strategy, name in runs:
        check_as_one(tmp_path / strategy / name, tmp_path / "one" / name)
        assert exported(tmp_path / strategy / name) == exported(tmp_path / "one" / name)
    for strategy in names:
        assert not differing(outcome(tmp_path / strategy / "autoencoder"), outcome(tmp_path / strategy / "parts"))
        check_as_one(tmp_path / strategy / "parts", tmp_path / "one" / "autoencoder")
        seen = [json.loads((tmp_path / strategy / "plain" / f"seen-{n}.json").read_text()) for n in range(processes)]
        check_epochs(seen, 4 // processes)


@pytest.mark.slow
def test_a_run_that_was_parted_goes_on_alone_and_the_other_way_round(tmp_path: Path) -> None:
    work(Case("autoencoder", str(tmp_path / "one"), changes("fsdp")), ALONE)
    for first in (1, 2):
        folder = tmp_path / f"from {first}"
        for processes, stop in ((first, 4), (3 - first, 10**9)):
            case = Case("autoencoder", str(folder), changes("fsdp"), stop)
            work(case, ALONE) if processes == 1 else finish([case], processes)
        check_as_one(folder, tmp_path / "one")


def pids(run: Path, count: int) -> list[int]:
    """Those of the processes, once each has taken some steps."""
    for _ in range(600):
        files = [run / f"at-{rank}" for rank in range(count)]
        words = [file.read_text().split() for file in files if file.exists()]
        if len(words) == count and all(len(pair) == 2 and int(pair[1]) > 5 for pair in words):
            return [int(pid) for pid, _ in words]
        time.sleep(0.1)
    raise AssertionError("the processes took no steps")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_falls_silent_ends_all_with_a_sentence(tmp_path: Path, end: int, strategy: str) -> None:
    run = tmp_path / "run"
    endless = Case("plain", str(run), {"batch_size": 4, "steps": 10**7, "strategy": strategy, "silence": 10})
    started = launched([endless], 2)
    os.kill(pids(run, 2)[1], end)
    clock = time.monotonic()
    told, _ = started.communicate(timeout=120)
    assert time.monotonic() - clock < 60
    assert started.returncode != 0
    assert "Another process of this run has ended or fallen silent" in told
    assert "the same command goes on from the last checkpoint" in told
    # Its replicas are whole: the one that was left has saved its last step. Of parts nothing can be saved.
    assert bool(checkpoints(run / "checkpoints")) == (strategy == "ddp")


@pytest.mark.slow
def test_a_machine_that_dies_ends_the_others(tmp_path: Path) -> None:
    run = tmp_path / "run"
    endless = Case("plain", str(run), {"batch_size": 4, "steps": 10**7, "silence": 10})
    where = ["--nnodes=2", "--master-addr=127.0.0.1", "--master-port=29713"]
    machines = [launched([endless], 1, *where, f"--node-rank={rank}") for rank in range(2)]
    last = pids(run, 2)[1]
    machines[1].kill()
    os.kill(last, signal.SIGKILL)
    clock = time.monotonic()
    told, _ = machines[0].communicate(timeout=120)
    assert time.monotonic() - clock < 60
    assert "Another process of this run has ended or fallen silent" in told
    machines[1].communicate(timeout=60)


@pytest.mark.slow
def test_the_command_trains_in_two_processes_and_all_stop_after_the_same_step(tmp_path: Path) -> None:
    write_folder(tmp_path / "data")
    run = tmp_path / "run"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    settings = ["loop.batch_size=4", "loop.save_every=1000000", "loop.evaluate_every=1000000", "loop.workers=0"]
    chosen = [word for setting in settings for word in ("--set", setting)]
    command = ["-m", "safelight", "train", "autoencoder", "--data", str(tmp_path / "data"), "--out", str(run), *chosen]

    def begun(steps: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*torchrun, *command, "--set", f"loop.steps={steps}", "--json"],
            cwd=TREE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    started = begun(10**6)
    for _ in range(600):
        if (run / "log.jsonl").exists() and len((run / "log.jsonl").read_text().splitlines()) > 2:
            break
        time.sleep(0.1)
    started.terminate()
    _, told = started.communicate(timeout=60)
    (saved,) = checkpoints(run / "checkpoints")
    step = int(saved.stem.removeprefix("step-"))
    assert told.count(f"terminated; step {step} is saved") == 2
    assert len((run / "log.jsonl").read_text().splitlines()) == step
    ended = begun(step + 2)
    out, told = ended.communicate(timeout=120)
    assert ended.returncode == 0, told
    assert json.loads(out)["left"] == str(run / "vae")


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_out_is_refused(tmp_path: Path) -> None:
    started = launched([Case("plain", str(tmp_path), {"batch_size": 5})], 2)
    told, _ = started.communicate(timeout=60)
    assert "loop.batch_size is 5; it must be a multiple of 2, the processes that share it out." in told


def test_without_accelerate_one_sentence_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from safelight.training.engine.processes import processes_for
    from tests.training.tiny_tasks import loop_config

    assert processes_for(loop_config()) is ALONE
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(BadInput, match=r"needs accelerate: pip install 'safelight\[train\]'"):
        processes_for(loop_config())
