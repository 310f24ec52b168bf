"""The Python of docs/evaluation.md runs as it stands, on folders of those names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from safelight.apps.cli import main
from tests.data.shapes import write_folder
from tests.evaluation.tiny_judges import clip_run

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"


def test_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clip_run(tmp_path / "CLIP_RUN")
    write_folder(tmp_path / "DRAWN")
    write_folder(tmp_path / "REAL", "none")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in lines] == ["KID", "precision", "recall"]
    assert "value=1.0" in lines[1]  # the same pictures: white, and cut out on white


def test_every_option_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    named = set(re.findall(r"--[a-z][a-z-]*", PAGE.read_text("utf-8")))
    assert named
    assert named <= known
