"""Prompts from a file, and what is wrong with some."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safelight.errors import BadInput
from safelight.evaluation.prompt_file import read_prompts
from safelight.evaluation.prompts import Prompt


def test_a_file(tmp_path: Path) -> None:
    lines = ["a fox", "", json.dumps({"prompt": "an owl", "concept": "owl", "background": "red"})]
    (tmp_path / "p.txt").write_text("\n".join(lines), "utf-8")
    assert read_prompts(tmp_path / "p.txt") == [Prompt("a fox"), Prompt("an owl", concept="owl", background="red")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n\n", "holds no prompts"),
        ("a fox\n{oops", "line 2 begins like JSON"),
        ('{"concept": "owl"}', 'line 1 needs a "prompt"'),
        ('{"prompt": "x", "concept": 3}', "all its values must be text"),
        ('{"prompt": "x", "hue": "red"}', "has hue; allowed beside prompt: concept, style, background"),
        ('{"prompt": "x", "background": "beige"}', "background 'beige'; allowed: white"),
        ('{"prompt": "x", "relation": "behind"}', "relation 'behind'; allowed: left, right, above, under"),
        ('{"prompt": "x", "number": "nine"}', "number 'nine'; allowed: two, three"),
        ('{"prompt": "x", "colour": "mauve"}', "colour 'mauve'; allowed: white, black"),
    ],
)
def test_a_wrong_file(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text(text, "utf-8")
    with pytest.raises(BadInput, match=said):
        read_prompts(tmp_path / "p.txt")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"neither a list \(captions, concepts, .*\) nor a readable file"):
        read_prompts(tmp_path / "caption")
