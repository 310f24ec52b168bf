"""One trainer to a run."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from safelight.errors import BadInput
from safelight.training.engine import lock
from safelight.training.engine.lock import NAME, Claim
from safelight.training.engine.loop import train
from tests.training.engine.real_runs import quick_processes
from tests.training.tiny_tasks import PlainTask, loop_config, run


def hold(folder: Path, told: Connection) -> None:
    """Claim a folder and stay."""
    claim = Claim(folder)
    claim.take()
    told.send(os.getpid())
    signal.pause()


def test_a_second_trainer_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    first = train(PlainTask(), loop_config(), tmp_path)
    assert next(first).step == 1
    with pytest.raises(BadInput, match=rf"is being trained by process {os.getpid()} on .*; stop that, or give another"):
        train(PlainTask(), loop_config(), tmp_path)
    train(PlainTask(), loop_config(), tmp_path / "another").close()
    assert [step.step for step in first] == list(range(2, 9))
    assert run(PlainTask(), loop_config(steps=9), tmp_path)[0].step == 9
    assert not (tmp_path / NAME).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_the_claim_of_a_killed_trainer_is_void(tmp_path: Path) -> None:
    processes = quick_processes()
    listening, told = processes.Pipe(duplex=False)
    trainer = processes.Process(target=hold, args=(tmp_path, told))
    trainer.start()
    number = listening.recv()
    with pytest.raises(BadInput, match=f"is being trained by process {number} "):
        Claim(tmp_path).take()
    trainer.kill()
    trainer.join()
    assert (tmp_path / NAME).exists()
    with Claim(tmp_path) as claim:
        claim.take()
        claim.take()  # the same claim, so nothing new
    assert not (tmp_path / NAME).exists()


def test_a_claim_that_is_given_up_or_forgotten_is_void(tmp_path: Path) -> None:
    unused = train(PlainTask(), loop_config(), tmp_path)
    with pytest.raises(BadInput, match="is being trained"):
        Claim(tmp_path).take()
    del unused
    with pytest.raises(BadInput, match="device 'warp9' is not available"):
        train(PlainTask(), loop_config(device="warp9"), tmp_path)
    Claim(tmp_path).take()


def test_the_claim_that_a_caller_has_taken_is_used(tmp_path: Path) -> None:
    with Claim(tmp_path) as claim:
        claim.take()
        assert len(list(train(PlainTask(), loop_config(), tmp_path, claim))) == 8


def test_a_lock_whose_file_its_last_holder_has_just_deleted_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(descriptor: int) -> None:
        (tmp_path / NAME).unlink()

    monkeypatch.setattr(lock, "_lock", late)
    with pytest.raises(BadInput, match="by another process; try again, or another folder"):
        Claim(tmp_path).take()


def test_a_file_system_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def without(descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_lock", without)
    with caplog.at_level(logging.WARNING):
        Claim(tmp_path).take()
    assert "has no locks" in caplog.text
    assert "no second trainer" in caplog.text


def test_a_folder_that_cannot_be_claimed_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"file/run/trainer\.lock' cannot be written: .*Not a directory"):
        Claim(tmp_path / "file" / "run").take()
