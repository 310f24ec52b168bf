"""The sketch from a whole model: it goes on with the model's own text encoder, and leaves a whole model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

import safelight
from safelight.autoencoder import Autoencoder
from safelight.errors import BadInput
from safelight.text import CLIP
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.engine.lock import Claim
from safelight.training.recipe import SketchRecipe
from safelight.training.running import left_by, run_stage
from safelight.training.sketch.deepening import deepen
from safelight.training.sketch.settings import SketchConfig
from safelight.training.sketch.start import from_model, leave_clip, sketch_task_of
from safelight.training.stages import Inputs, check_inputs
from safelight.weights import load_clip, save_autoencoder, save_folder
from tests.data.shapes import SIDE, records, write_folder
from tests.training.tiny_tasks import AUTOENCODER, IMAGE, TEXT, loop_config, parts, tokenizer

RECIPE = SketchRecipe(
    sketch=SketchConfig(cells=2), data=DiffusionDataConfig(caption_dropout=0.0), loop=loop_config(steps=3)
)


def inputs(folder: Path, model: str | None = None, clip: Path | None = None) -> Inputs:
    run = folder / "run"
    return Inputs(out=run, claim=Claim(run), data=folder / "data", model=model, clip=clip)


def test_it_leaves_the_model_with_another_text_encoder(tmp_path: Path) -> None:
    save_folder(tmp_path / "model", parts())
    write_folder(tmp_path / "data", "none")
    for _ in run_stage("sketch", inputs(tmp_path, model=str(tmp_path / "model")), RECIPE):
        pass
    left = left_by("sketch", tmp_path / "run")
    assert left == tmp_path / "run" / "model"
    before, after = (safelight.load(folder).parts() for folder in (tmp_path / "model", left))
    same = [
        all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
        for one, other in ((before.unet, after.unet), (before.autoencoder, after.autoencoder))
    ]
    assert same == [True, True]
    (_, old), (_, new) = before.reader, after.reader
    assert any(not torch.equal(a, b) for a, b in zip(old.parameters(), new.parameters(), strict=True))
    assert safelight.load(left)("a red circle", num_inference_steps=2).images[0].size == (SIDE, SIDE)


def test_new_layers_change_nothing_until_they_have_learnt(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = parts().reader[1]
    ids = torch.randint(0, encoder.config.vocabulary, (2, encoder.config.length))
    layers, before = encoder.config.layers, encoder(ids)
    deepen(encoder, 3)
    assert len(encoder.layers) == encoder.config.layers == layers + 3
    assert torch.equal(encoder(ids), before)
    save_folder(tmp_path / "model", parts())
    write_folder(tmp_path / "data", "none")
    recipe = replace(RECIPE, sketch=replace(RECIPE.sketch, new_layers=1))
    for _ in run_stage("sketch", inputs(tmp_path, model=str(tmp_path / "model")), recipe):
        pass
    left = safelight.load(tmp_path / "run" / "model").parts().reader[1]
    assert left.config.layers == layers + 1
    assert bool(left.layers[layers].perceptron.down.weight.any())
    assert bool(left.layers[layers].attention.out.weight.any())


def test_a_new_clip_is_deepened_too(tmp_path: Path) -> None:
    words = tokenizer()
    clip = CLIP(replace(TEXT, vocabulary=len(words.vocabulary)), IMAGE)
    leave_clip(words, clip, tmp_path / "clip")
    save_autoencoder(tmp_path / "autoencoder" / "vae", Autoencoder(AUTOENCODER))
    recipe = replace(RECIPE, sketch=replace(RECIPE.sketch, size=SIDE, new_layers=2))
    task = sketch_task_of(tmp_path / "autoencoder", tmp_path / "clip", recipe, records("none"), tmp_path)
    task.export(tmp_path / "run")
    assert load_clip(tmp_path / "run" / "clip").text.config.layers == TEXT.layers + 2


def test_its_pictures_are_as_large_as_the_model_draws(tmp_path: Path) -> None:
    save_folder(tmp_path / "model", parts())
    with Claim(tmp_path / "run") as claim:
        given = Inputs(out=tmp_path / "run", claim=claim, model=str(tmp_path / "model"))
        task = from_model(given, str(tmp_path / "model"), RECIPE, records("none"))
    assert task.seen[0].shape[1:] == (SIDE // 2, SIDE // 2)


def test_pictures_without_a_caption_get_that_of_the_recipe(tmp_path: Path) -> None:
    save_folder(tmp_path / "model", parts())
    bare = [replace(record, captions=()) for record in records("none")]
    for number, caption in enumerate(("", "a red apple")):
        run = tmp_path / f"run{number}"
        recipe = replace(RECIPE, data=replace(RECIPE.data, caption=caption))
        with Claim(run) as claim:
            given = Inputs(out=run, claim=claim, model=str(tmp_path / "model"))
            if not caption:
                with pytest.raises(BadInput, match="caption"):
                    from_model(given, str(tmp_path / "model"), recipe, bare)
            else:
                task = from_model(given, str(tmp_path / "model"), recipe, bare)
    assert task.sample(0, Random(0))["caption"] == "a red apple"


def test_a_run_goes_on_from_the_same_model_only(tmp_path: Path) -> None:
    save_folder(tmp_path / "model", parts())
    other = parts()
    torch.nn.init.normal_(other.unet.conv_in.weight)
    save_folder(tmp_path / "other", other)
    write_folder(tmp_path / "data", "none")
    for _ in run_stage("sketch", inputs(tmp_path, model=str(tmp_path / "model")), RECIPE):
        pass
    longer = replace(RECIPE, loop=loop_config(steps=4))
    with pytest.raises(BadInput, match="started from the model"):
        list(run_stage("sketch", inputs(tmp_path, model=str(tmp_path / "other")), longer))


def test_it_starts_from_one_thing(tmp_path: Path) -> None:
    both = inputs(tmp_path, model="bundled", clip=tmp_path)
    with pytest.raises(BadInput, match=r"--model and --clip are given; .* starts from one of them"):
        check_inputs("sketch", both, RECIPE)
    with pytest.raises(BadInput, match="--autoencoder is missing"):
        check_inputs("sketch", inputs(tmp_path), RECIPE)
    check_inputs("sketch", inputs(tmp_path, model="bundled"), RECIPE)
