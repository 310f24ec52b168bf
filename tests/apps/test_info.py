"""`safelight info` and `safelight models`: what there is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safelight.apps.cli import main
from safelight.catalog import CATALOG
from safelight.pipeline import Pipeline


def test_what_a_model_is_made_of(model_folder: Path, pipe: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(model_folder), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["model"] == "tiny"
    assert facts["size"] == 64
    assert facts["tokens"] == len(pipe.tokenizer.vocabulary)
    assert facts["schedule"]["prediction"] == "epsilon"
    for part in ("text_encoder", "unet", "autoencoder"):
        network = getattr(pipe, part)
        assert facts[part]["parameters"] == sum(weight.numel() for weight in network.parameters())
        assert facts[part]["dtypes"] == ["float32"]
    assert facts["unet"]["config"]["channels"] == [32, 64]


def test_in_words(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(model_folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tiny: ")
    assert [line.split()[0] for line in lines[1:]] == ["unet", "autoencoder", "text_encoder", "draws"]
    assert lines[-1] == "  draws 64 x 64 pixels by default"


def test_the_bundled_model_is_the_default(
    model_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safelight.opening.BUNDLED", model_folder)
    assert main(["info"]) == 0
    assert capsys.readouterr().out.startswith("bundled: ")


def test_no_such_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "absent"]) == 2
    assert "model 'absent' is no folder" in capsys.readouterr().err


def test_the_models_known_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    names = [row["name"] for row in json.loads(capsys.readouterr().out)["models"]]
    assert names == ["bundled", *(row.name for row in CATALOG)]
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == names
