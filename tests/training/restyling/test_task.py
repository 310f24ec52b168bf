"""Shapes whose style is their colour: the stage learns to paint one in another, and fills what nobody painted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from safelight.data.collection import open_collection
from safelight.data.record import Record
from safelight.data.styles import styles_of
from safelight.errors import BadInput
from safelight.training.diffusion.settings import ViewsConfig
from safelight.training.engine.lock import Claim
from safelight.training.engine.noise import SampleNoise
from safelight.training.finetuning.start import Start
from safelight.training.recipe import RestyleRecipe
from safelight.training.restyling.drawings import Pair
from safelight.training.restyling.settings import RestylingConfig
from safelight.training.restyling.task import RestyleTask
from safelight.training.running import left_by, run_stage
from safelight.training.stages import Inputs
from safelight.weights import save_folder
from tests.data.shapes import COLOURS, SIDE, png, records, samples
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import AUTOENCODER, check_resumes, loop_config, parts

CLEARED = "safelight.training.restyling.task.cleared"
SMALL = RestylingConfig(channels=(16, 32), blocks_per_level=1)


def in_colours(found: list[Record]) -> list[Record]:
    """The same with the colour as their style."""
    return [
        replace(record, fields={**record.fields, "style": colour, "style_phrase": f"{colour} paint"})
        for record in found
        for colour in [record.key.split("-")[0]]
    ]


def things(count: int) -> list[Record]:
    """Each three boxes in every colour; the black ones of the first five are held out."""
    found = []
    for number in range(count):
        random = Random(number)
        boxes = [(x, y, x + 8, y + 8) for x, y in [(random.randrange(24), random.randrange(24)) for _ in range(3)]]
        for colour, paint in COLOURS.items():
            picture = Image.new("RGBA", (SIDE, SIDE), "white")
            for box in boxes:
                ImageDraw.Draw(picture).rectangle(box, fill=(*paint, 255))
            split = "val" if colour == "black" and number < 5 else "train"
            fields = {"concept": f"thing {number}", "style": colour, "split": split}
            key = f"{colour}-{number}"
            content = png(picture)
            found.append(Record(key, (f"thing {number}",), fields, lambda content=content: content))
    return found


def restyle_task(folder: Path, found: list[Record] | None = None, **settings: Any) -> RestyleTask:
    start = Start(parts=parts(), name="tiny", fingerprint="its")
    start.parts.autoencoder.config = replace(AUTOENCODER, scale=15.0)  # its weights are random, its latents near 0
    given = in_colours(records()) if found is None else found
    return RestyleTask(start, replace(SMALL, **settings), ViewsConfig(), given, folder)


def test_it_overfits_one_batch(tmp_path: Path) -> None:
    losses = losses_of_one_batch(restyle_task(tmp_path), range(4), steps=150, rate=1e-2)
    assert losses[-1] < losses[0] / 20


def test_held_out_pairs_are_better_than_the_mean_of_what_is_shown(tmp_path: Path) -> None:
    """No black drawing of five things is learnt from; others of them are, and black ones of others."""
    task = restyle_task(tmp_path, things(60))
    assert {(pair.thing, task.drawings.styles[pair.style]) for pair, _ in task.unseen} == {
        (f"thing {number}", "black") for number in range(5)
    }
    optimiser = torch.optim.AdamW(task.network.parameters(), 5e-3)
    for step in range(200):
        found = [task.sample(Random(f"{step} {n}").randrange(task.size), Random(f"{step} {n}")) for n in range(16)]
        task.loss({name: torch.stack([one[name] for one in found]) for name in found[0]}, SampleNoise(0, range(16)))[
            "loss"
        ].backward()
        optimiser.step()
        optimiser.zero_grad()
    figures = task.evaluate()
    assert figures.keys() == {"loss_seen", "loss_unseen", "loss_of_mean"}
    assert figures["loss_unseen"] < figures["loss_of_mean"] / 2
    assert figures["loss_seen"] < 2 * figures["loss_unseen"]


def test_a_sample_never_shows_what_is_asked_for(tmp_path: Path) -> None:
    task = restyle_task(tmp_path, shift=0, hidden=0.9)
    counts = set()
    for seed in range(60):
        pair = task.drawings.drawn[seed % task.size]
        one = task.sample(seed % task.size, Random(seed))
        assert int(one["wanted"]) == pair.style
        assert torch.equal(one["latent"], task.drawings.latent(pair))
        assert one["there"][pair.style] == 0
        counts.add(int(one["there"].sum()))
        for style, there in enumerate(one["there"]):
            own = task.drawings.latent(Pair(pair.thing, style)) if there else torch.zeros_like(one["latent"])
            assert torch.equal(one["drawings"][style], own)
    assert counts == {1, 2, 3}


def test_all_drawings_of_a_sample_move_together(tmp_path: Path) -> None:
    task = restyle_task(tmp_path, shift=2, hidden=0.0)
    pair = task.drawings.drawn[0]
    others, _ = task.drawings.shown(pair.thing, task.drawings.others(pair))
    seen = set()
    for seed in range(80):
        one = task.sample(0, Random(seed))
        [by] = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.equal(one["latent"], task.drawings.latent(pair).roll((down, right), (1, 2)))
        ]
        assert torch.equal(one["drawings"], others.roll(by, (2, 3)))
        seen.add(by)
    assert len(seen) > 20


def test_what_is_not_there_does_not_count(tmp_path: Path) -> None:
    network = restyle_task(tmp_path).network.eval()
    drawings, there = torch.randn(2, 4, 4, 16, 16), torch.tensor([[1.0, 0, 1, 0]] * 2)
    wanted = torch.tensor([1, 3])
    other = drawings.clone()
    other[:, [1, 3]] = torch.randn(2, 2, 4, 16, 16)
    with torch.no_grad():
        made = network(drawings, there, wanted)
        assert torch.equal(made, network(other, there, wanted))
        assert not torch.allclose(made, network(drawings, torch.ones(2, 4), wanted))
        assert not torch.allclose(made, network(drawings, there, wanted.flip(0)))


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path) -> None:
    check_resumes(restyle_task, loop_config(steps=6, workers=2), tmp_path, stop=3)


def test_derived_pictures_are_no_drawings(tmp_path: Path) -> None:
    found = in_colours(records())
    painted = replace(found[0], key="painted", fields={**found[0].fields, "style": "gold", "derived_from": "x"})
    assert restyle_task(tmp_path, [*found, painted]).drawings.styles == ["black", "blue", "green", "red"]


def test_a_collection_of_one_style_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="None of the 14 pictures shows a thing that another shows in another style"):
        restyle_task(tmp_path, records())


def test_pictures_of_several_shapes_are_refused(tmp_path: Path) -> None:
    start = Start(parts=parts(), name="tiny", fingerprint="its")
    with pytest.raises(BadInput, match=r"data\.shapes is 'buckets'"):
        RestyleTask(start, SMALL, ViewsConfig(shapes="buckets"), in_colours(records()), tmp_path)


def test_a_style_that_nothing_was_drawn_in_cannot_be_sharpened(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"restyling\.sharpened names 'gold', in which nothing was drawn"):
        restyle_task(tmp_path, sharpened=("red", "gold"))


def test_the_sheet_shows_what_is_made_above_what_was_drawn(tmp_path: Path) -> None:
    sheet = restyle_task(tmp_path).sheet()
    assert sheet is not None
    assert sheet.size == (2 * SIDE, 2 * SIDE)


def test_a_run_fills_the_gaps_of_a_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves a shard that can be trained on, and that changes nothing about what a bare name means."""
    data = tmp_path / "data"
    data.mkdir()
    for name, (content, _) in samples().items():
        colour, shape = name.split("-")
        if (colour, shape) != ("red", "bar"):
            (data / f"{name}.png").write_bytes(content)
    for name in [path.stem for path in data.glob("*.png")]:
        colour, shape = name.split("-")
        fields = {"captions": [f"a {shape}"], "concept": shape, "style": colour, "style_phrase": f"{colour} paint"}
        about = {"split": "val" if name == "black-cross" else "train", "source": colour.upper(), "licence": "CC0-1.0"}
        (data / f"{name}.json").write_text(json.dumps({**fields, **about}), "utf-8")
    save_folder(tmp_path / "model", parts())
    out = tmp_path / "run"
    inputs = Inputs(out=out, claim=Claim(out), data=data, model=str(tmp_path / "model"))
    monkeypatch.setattr(CLEARED, lambda picture, sharpening: Image.new("RGB", picture.size, "lime"))
    settings = replace(SMALL, sharpened=("red",))
    for _ in run_stage("restyle", inputs, RestyleRecipe(restyling=settings, loop=loop_config(steps=3))):
        pass
    shard = left_by("restyle", out)
    made = {record.key: record for record in open_collection(shard)}
    assert {record.fields["concept"] + " " + record.fields["style"] for record in made.values()} == {
        "bar red",
        "cross black",
    }
    lime = {record.fields["style"]: record.picture().getextrema()[0][1] < 9 for record in made.values()}
    assert lime == {"red": True, "black": False}
    [bar] = [record for record in made.values() if record.fields["concept"] == "bar"]
    assert bar.captions == ("a bar", "a bar, red paint")
    assert bar.split == "train"
    assert set(bar.fields["restyled_from"]) == {"black-bar", "blue-bar", "green-bar"}
    assert bar.fields["source"] == "BLACK; BLUE; GREEN"
    assert bar.fields["licence"] == "CC0-1.0"
    assert bar.picture().size == (SIDE, SIDE)
    wordings = {"red": ["a red {name}"], "black": ["a black {name}"], "blue": ["a blue {name}"]}
    own = open_collection(data)
    assert styles_of([*own, *made.values()], wordings) == styles_of(own, wordings)
    assert styles_of([*own, *made.values()], wordings).captions(bar) == ("a red bar", "a bar, red paint")
