"""The sample sheet of every kind: from prompts, or from held-out samples; and what stands below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from safelight.training.diffusion.sheet import Drawings, requests, sheet_of
from tests.data.shapes import SIDE
from tests.training.diffusion.tiny_kinds import RECIPES, kind_task, write_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("runs"))


class Told:
    """A pipeline that draws nothing and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, **call: Any) -> Any:
        self.calls.append(call)
        return type("Result", (), {"images": [Image.new("RGB", (SIDE, SIDE), "red")]})()


@pytest.mark.parametrize("kind", RECIPES)
def test_each_kind_draws_from_held_out_samples(kind: str, runs: Path, tmp_path: Path, monkeypatch: Any) -> None:
    task, told = kind_task(kind, runs, tmp_path, drawn=2), Told()
    monkeypatch.setattr(task, "pipeline", lambda: told)
    drawn = task.sheet()
    if kind == "text":  # which is drawn from the prompts of the configuration, if there are any
        assert drawn is None
        assert task.data.prompts == ()
        return
    assert drawn is not None
    assert drawn.size == (2 * SIDE, 2 * SIDE)
    assert [call.pop("seed") for call in told.calls] == [0, 1]
    views = [task.unseen.views[0], task.unseen.views[1]]  # type: ignore[union-attr]
    assert [view.record.split for view in views] == ["val", "val"]
    assert [{name: getattr(value, "size", value) for name, value in call.items()} for call in told.calls] == [
        {name: getattr(value, "size", value) for name, value in task.shown.request(view).items()} for view in views
    ]
    below = drawn.crop((0, SIDE, SIDE, 2 * SIDE))
    new = kind in ("unconditional", "class")
    assert new != (below.tobytes() == views[0].picture().tobytes())
    with torch.no_grad():
        assert ("copies" in task.evaluate()) == new
    assert len(told.calls) == 2  # the weights are those of the sheet: nothing is drawn again


def test_prompts_are_drawn_from_held_out_pictures(runs: Path, tmp_path: Path) -> None:
    task = kind_task("depth", runs, tmp_path)
    views = task.seen.views[:2]
    found = requests(task.shown, views, ["a", "b", "c"])
    assert [call["prompt"] for call in found] == ["a", "b", "c"]
    assert [call["depth_map"].tobytes() for call in found] == [
        views[i % 2].numbers("depth").tobytes() for i in range(3)
    ]


def test_changed_weights_are_drawn_again() -> None:
    network, told = torch.nn.Linear(2, 2), Told()
    drawings = Drawings(network, [{"prompt": "a"}], lambda: told)  # type: ignore[arg-type, return-value]
    drawings.pictures()
    drawings.pictures()
    assert told.calls == [{"prompt": "a", "seed": 0}]
    with torch.no_grad():
        network.weight.copy_(network.weight + 1)
    drawings.pictures()
    assert len(told.calls) == 2


def test_pictures_of_other_shapes_are_fitted_into_the_first() -> None:
    tall, wide = Image.new("RGB", (8, 16), "red"), Image.new("RGB", (16, 8), "blue")
    found = sheet_of([tall, wide], [wide, tall])
    assert found.size == (16, 32)
    assert found.getpixel((12, 8)) == (0, 0, 255)
    assert found.getpixel((12, 1)) == (255, 255, 255)
