"""The command as a process: its exit codes, its two streams, and how it stops."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

import safelight
from safelight.apps.cli import main

COMMAND = [sys.executable, "-m", "safelight"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(safelight.__file__).parent.parent), "PYTHONUNBUFFERED": ""}


@pytest.mark.parametrize("words", [["--help"], ["generate", "--help"], ["--version"]])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert (safelight.__version__ if words == ["--version"] else "usage: safelight") in said


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(re.search(rf"^    {name} ", said, re.MULTILINE) for name in ("generate", "replay", "models", "info"))


@pytest.mark.parametrize(("error", "code"), [(OSError(5, "Input/output error"), 1), (KeyboardInterrupt(), 130)])
def test_codes_of_what_is_not_the_callers_fault(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("safelight.apps.terminal.json.dumps", fails)
    assert main(["models", "--json"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_who_leaves_early_hears_no_complaint() -> None:
    """As in `safelight models | head -0`."""
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([*COMMAND, "models"], env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert ended.stderr == b""


def read_until(terminal: int, pattern: bytes, seconds: float) -> bytes:
    """What is written to a terminal until that is seen."""
    seen, end = b"", time.monotonic() + seconds
    while not re.search(pattern, seen):
        ready, _, _ = select.select([terminal], [], [], max(end - time.monotonic(), 0))
        assert ready, f"no {pattern!r} in {seen!r}"
        seen += os.read(terminal, 4096)
    return seen


def test_progress_and_interruption(model_folder: Path, tmp_path: Path) -> None:
    """On a terminal a bar counts the steps, on standard error; Ctrl-C stops within a step and leaves nothing."""
    terminal, stderr = pty.openpty()
    termios.tcsetwinsize(stderr, (24, 80))
    words = ["generate", "a red apple", "--model", str(model_folder), "--steps", "1000", "--sampler", "heun", "--json"]
    started = subprocess.Popen(
        [*COMMAND, *words, "--width", "256", "--height", "256"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=stderr,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in a shell's background
    )
    os.close(stderr)
    try:
        read_until(terminal, rb"step [1-9]\d*/1000", seconds=60)
        started.send_signal(signal.SIGINT)
        asked = time.monotonic()
        said = read_until(terminal, b"interrupted; nothing is half-written", seconds=30)
        out, _ = started.communicate(timeout=30)
        waited = time.monotonic() - asked
    finally:
        started.kill()
        os.close(terminal)
    assert (started.returncode, out) == (130, b"")
    assert waited < 15  # on a busy machine; the whole run takes minutes, a step a tenth of a second
    assert b"Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-"])
def test_it_works_where_a_stream_is_closed(closed: str) -> None:
    """As in a daemon."""
    line = f"{sys.executable} -m safelight models {closed}"
    ended = subprocess.run(["sh", "-c", line], env=ENVIRONMENT, capture_output=True, check=False)
    assert ended.returncode == 0
    assert ended.stderr == b""
    assert bool(ended.stdout) == (closed == "2>&-")


def test_letters_that_a_stream_cannot_say_are_escaped(tmp_path: Path) -> None:
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    command = [*COMMAND, "info", str(tmp_path / "狐")]
    ended = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
    assert ended.returncode == 2
    assert "\\u72d0" in ended.stderr
    assert "Traceback" not in ended.stderr
