"""`kill -9` at any moment: the run that is begun again comes to the same bytes as one that was left alone."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import suppress
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

import pytest
import torch

from safelight.training.engine.checkpoint import checkpoints
from safelight.training.engine.loop import train
from tests.training.engine.real_runs import EVERY, Setting, differing, outcome, quick_processes, turn, write_collections

torch.set_num_threads(1)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
# Each value of each choice, in three runs.
THREE = [
    (Setting("autoencoder", 3, 2, "shards"), 7),
    (Setting("clip", 1, 2, "folder"), 7),
    (Setting("diffusion", 3, 0, "folder"), 6),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collections(tmp_path_factory.mktemp("collections"))


def train_and_tell(setting: Setting, home: Path, run: Path, steps: int, told: Connection) -> None:
    """Train to the end, with a word after each step."""
    torch.set_num_threads(1)
    for step in train(setting.task(home, run), setting.loop(steps=steps), run):
        told.send(step.step)


def kill_once(random: Random, setting: Setting, home: Path, run: Path, steps: int) -> bool:
    """Train for up to four steps and a part of two more, and kill the trainer; returns whether it was still at work."""
    processes = quick_processes()
    listening, told = processes.Pipe(duplex=False)
    trainer = processes.Process(target=train_and_tell, args=(setting, home, run, steps, told))
    trainer.start()
    told.close()
    times = []
    with suppress(EOFError):
        for _ in range(random.randrange(5)):
            listening.recv()
            times.append(time.perf_counter())
    shortest = min((after - before for before, after in pairwise(times)), default=0.005)
    time.sleep(2 * random.random() * shortest)
    trainer.kill()
    trainer.join()
    return bool(trainer.exitcode == -signal.SIGKILL)


def check_kills(setting: Setting, home: Path, folder: Path, kills: int) -> None:
    steps = 6 * kills + 20  # more than all those that are killed can take
    turn(setting, home, folder / "whole", steps=steps)
    random = Random(str(setting))
    assert all(kill_once(random, setting, home, folder / "killed", steps) for _ in range(kills))
    newest = checkpoints(folder / "killed" / "checkpoints")[-1]
    assert 2 <= int(newest.stem.removeprefix("step-")) < steps
    turn(setting, home, folder / "killed", steps=steps)
    assert not differing(outcome(folder / "whole"), outcome(folder / "killed"))


@pytest.mark.parametrize(("setting", "kills"), THREE, ids=str)
def test_killed_at_random_moments_a_run_comes_to_the_same_bytes(
    home: Path, tmp_path: Path, setting: Setting, kills: int
) -> None:
    check_kills(setting, home, tmp_path, kills)


@pytest.mark.slow
@pytest.mark.parametrize("setting", EVERY, ids=str)
def test_every_setting_killed_at_twenty_moments(home: Path, tmp_path: Path, setting: Setting) -> None:
    check_kills(setting, home, tmp_path, 20)


@pytest.mark.parametrize("setting", [each for each in EVERY if each.workers == 0], ids=str)
def test_a_run_that_is_stopped_comes_to_the_same_bytes_whoever_loads(
    home: Path, tmp_path: Path, setting: Setting
) -> None:
    turn(setting, home, tmp_path / "whole", steps=5, evaluate_every=2)
    for workers in (0, 2):
        run, config = tmp_path / str(workers), setting.loop(steps=5, workers=workers, evaluate_every=2)
        steps = train(setting.task(home, run), config, run)
        for step in steps:
            if step.step == 3:
                steps.close()
        turn(setting, home, run, steps=5, workers=workers, evaluate_every=2)
        assert not differing(outcome(tmp_path / "whole"), outcome(run))
