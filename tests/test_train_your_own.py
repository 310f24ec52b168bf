"""The page "train your own from nothing", followed word for word to the picture at its end."""

from __future__ import annotations

import re
import shlex
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from safelight.apps.cli import main
from safelight.images import to_tensor
from safelight.training import whole
from safelight.training.examination import examine

PAGE = Path(__file__).parent.parent / "docs" / "train-your-own.md"
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
STAGES = ("autoencoder", "clip", "diffusion", "classifier")
SHORT = [f"{stage}.loop.steps=2" for stage in STAGES]
SMALL = [
    "autoencoder.network.channels=[16,16,16]",
    "clip.text.layers=1",
    "clip.image.layers=1",
    "diffusion.network.channels=[16,32,32]",
    "diffusion.network.heads=[1,2,2]",
    "classifier.network.channels=[16,16]",
    "classifier.network.size=16",
    "classifier.loop.batch_size=8",
    "clip.loop.batch_size=8",
]


def follow(folder: Path, monkeypatch: pytest.MonkeyPatch, changes: list[str]) -> None:
    """Run every block of the page in `folder`; the training with these changes to its recipe."""
    monkeypatch.chdir(folder)
    torch.set_num_threads(2)
    for language, block in BLOCKS:
        if language == "python":
            exec(compile(block, str(PAGE), "exec"), {})
            continue
        for command in block.strip().splitlines():
            program, *words = shlex.split(command)
            assert program == "safelight"
            settings = [word for change in changes for word in ("--set", change)] if words[0] == "train" else []
            assert main([*words, *settings]) == 0


def test_the_page_leads_to_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "examine", partial(examine, seeds=1, steps=1))
    follow(tmp_path, monkeypatch, [*SHORT, *SMALL])
    assert len(list((tmp_path / "shapes").glob("*.png"))) == 30
    for name in ("ring.png", "triangle.png"):
        assert Image.open(tmp_path / name).size == (64, 64)
    assert (tmp_path / "my-model" / "model" / "README.md").exists()


@pytest.mark.slow
def test_and_the_picture_is_what_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow(tmp_path, monkeypatch, [])
    ring = to_tensor(Image.open(tmp_path / "ring.png").convert("RGB"))
    red, _, blue = ring
    inked = blue - red > 0.5
    assert inked[12:52, 10:17].any()
    assert inked[12:52, 47:54].any()
    assert not inked[28:36, 28:36].any()  # a ring, and no disc
    assert not (red - blue > 0.5).any()
