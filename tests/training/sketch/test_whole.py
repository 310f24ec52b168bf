"""`train all` with the sketch: where it stands among the stages, and who reads what it leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from safelight.training.recipe import Recipe, SketchRecipe
from safelight.training.sketch.settings import SketchConfig
from safelight.training.whole import inputs_of, stages_for
from tests.data.shapes import write_folder

SKETCHED = replace(Recipe(), sketch=SketchRecipe(sketch=SketchConfig(included=True, size=512)))


def test_the_sketch_stands_before_diffusion_if_it_is_included(tmp_path: Path) -> None:
    write_folder(tmp_path)
    assert "sketch" not in stages_for(tmp_path, Recipe())
    assert stages_for(tmp_path, SKETCHED)[:4] == ("autoencoder", "clip", "sketch", "diffusion")


def test_no_judge_is_trained_where_a_thing_has_no_name(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    assert stages_for(folder, Recipe())[-1] == "classifier"
    told = folder / "red-circle.json"
    told.write_text(json.dumps({"captions": ["a red circle"], "split": "train", "concept": ""}))
    assert "classifier" not in stages_for(folder, Recipe())


def test_diffusion_alone_reads_what_the_sketch_leaves(tmp_path: Path) -> None:
    assert inputs_of("diffusion", tmp_path, tmp_path, SKETCHED).clip == tmp_path / "sketch"
    assert inputs_of("sketch", tmp_path, tmp_path, SKETCHED).clip == tmp_path / "clip"
    assert inputs_of("diffusion", tmp_path, tmp_path, Recipe()).clip == tmp_path / "clip"
