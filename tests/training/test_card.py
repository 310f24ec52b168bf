"""The card of a run tells what it was, and nothing else is needed to run it again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import safelight
from safelight.errors import BadInput
from safelight.training.card import RunFacts, card, last_figures, write_card
from safelight.training.recipe_file import read_recipe, to_toml
from tests.data.shapes import records

RECIPE = to_toml(read_recipe("tiny").clip, "clip")


def facts(**changes: object) -> RunFacts:
    usual = {
        "stage": "clip",
        "does": "learn words",
        "recipe": RECIPE,
        "records": records(),
        "device": "cpu",
        "steps": 12,
        "figures": {"held-out/first": 0.25},
    }
    return RunFacts(**{**usual, **changes})  # type: ignore[arg-type]


def test_it_tells_figures_data_code_machine_and_recipe(tmp_path: Path) -> None:
    text = card(facts())
    assert text.startswith("---\nlibrary_name: diffusers\n")
    assert "| held-out/first | 0.25 |" in text
    assert "| training pictures | 14 |" in text
    assert "| held-out pictures | 2 |" in text
    assert "| style | drawing 14 |" in text
    assert f"| safelight | {safelight.__version__}" in text
    assert f"| torch | {torch.__version__} |" in text
    (recipe,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "again.toml").write_text(recipe)
    assert read_recipe(str(tmp_path / "again.toml")).clip == read_recipe("tiny").clip


def test_other_data_is_another_card() -> None:
    hashed = [
        re.search(r"pictures and captions, hashed \| (\w+)", card(facts(records=found)))
        for found in (records(), records()[1:])
    ]
    assert None not in hashed
    assert hashed[0][1] != hashed[1][1]  # type: ignore[index]


def test_the_last_figures_are_those_of_the_log(tmp_path: Path) -> None:
    lines = [
        '{"step": 1, "training/loss": 3.0}',
        '{"step": 1, "held-out/psnr": 9.0}',
        '{"step": 2, "training/loss": null}',
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    assert last_figures(tmp_path / "log.jsonl") == {"training/loss": 3.0, "held-out/psnr": 9.0}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        write_card(tmp_path / "nowhere", facts())
