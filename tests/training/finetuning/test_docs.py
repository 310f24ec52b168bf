"""What docs/finetuning.md says works: its commands run, one after the other, on a small model."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from safelight.apps.cli import main
from tests.data.shapes import draw, write_folder

PAGE = (Path(__file__).parents[3] / "docs" / "finetuning.md").read_text("utf-8")
COMMANDS = re.findall(r"^    (safelight .*)$", PAGE, re.MULTILINE)
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SHORT = ("loop.steps=2", "loop.batch_size=2", "data.drawn=1")
PRIOR = ("prior.count=2", "prior.steps=1")


def test_the_commands_lead_from_five_pictures_to_a_picture(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model_folder, "small")
    Path("dog").mkdir()
    for number, colour in enumerate(("red", "green", "blue", "black", "red")):
        draw(colour, "circle").save(f"dog/{number}.png")
    write_folder(Path("animals"))
    for snippet in SNIPPETS:
        exec(compile(snippet, "docs/finetuning.md", "exec"), {})
    drawn = 0
    for command in COMMANDS:
        words = [word.replace("bundled", "small") for word in shlex.split(command)[1:]]
        if words[0] == "train":
            changes = SHORT + (PRIOR if "prior.prompt" in command else ())
            assert main([*words, *(word for change in changes for word in ("--set", change))]) == 0, command
        else:
            words += ["--steps", "2"] + ([] if "--model" in words else ["--model", "small"])
            Path(words[words.index("--out") + 1]).unlink(missing_ok=True)
            assert main(words) == 0, command
            with Image.open(words[words.index("--out") + 1]) as picture:
                assert picture.size == (64, 64)
            drawn += 1
    assert drawn == 5


def test_every_stage_has_its_line() -> None:
    for stage in ("finetune", "lora", "embedding", "controlnet"):
        assert f"| `safelight train {stage}` |" in PAGE
