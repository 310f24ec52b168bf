"""A model's id on the command line: fetched once, drawn with, and never asked for again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safelight.apps.cli import main
from safelight.pipeline import Pipeline
from weights.hub.conftest import ID, NEEDED
from weights.hub.server import Hub


def test_generate_from_an_id(hub: Hub, pipe: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", "a red apple", "--model", ID, "--seed", "1", "--steps", "2", "--device", "cpu", "--json"]
    assert main([*words, "--out", str(tmp_path / "a.png")]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == ID
    assert sorted(hub.fetched()) == NEEDED
    hub.log.clear()
    assert main([*words, "--out", str(tmp_path / "b.png")]) == 0
    assert not hub.log
    expected = pipe("a red apple", seed=1, num_inference_steps=2).images[0]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    expected.save(tmp_path / "c.png")
    assert expected.tobytes() == _pixels(tmp_path / "a.png")


def test_fetch_brings_it_up_to_date(hub: Hub, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", ID]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder.is_relative_to(cache)
    assert (folder / "model_index.json").is_file()
    assert main(["fetch", "studio/absent"]) == 2
    assert "studio/absent" in capsys.readouterr().err


def _pixels(file: Path) -> bytes:
    from PIL import Image

    with Image.open(file) as picture:
        return picture.tobytes()
