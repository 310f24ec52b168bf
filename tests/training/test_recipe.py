"""Recipes: what is printed can be read again, and what is wrong in one is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from safelight.errors import BadInput
from safelight.training.recipe import Recipe
from safelight.training.recipe_file import RECIPES, read_recipe, to_toml


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
@pytest.mark.parametrize("stage", ["autoencoder", "clip", "diffusion"])
def test_what_is_printed_is_read_back(tmp_path: Path, name: str, stage: str) -> None:
    recipe = read_recipe(name)
    (tmp_path / "whole.toml").write_text(to_toml(recipe), "utf-8")
    assert read_recipe(str(tmp_path / "whole.toml")) == recipe
    (tmp_path / "stage.toml").write_text(to_toml(getattr(recipe, stage), stage), "utf-8")
    assert getattr(read_recipe(str(tmp_path / "stage.toml")), stage) == getattr(recipe, stage)


def test_any_text_survives(tmp_path: Path) -> None:
    texts = 'a "red" fox', "back\\slash", "two\nlines\ttab", "ein Füchschen 🦊", "\x00\x1f\x7f", "it's"
    recipe = read_recipe("tiny", [f"diffusion.data.prompts={list(texts)[:1]}".replace("'", '"""')])
    assert recipe.diffusion.data.prompts == ('a "red" fox',)
    data = replace(recipe.diffusion.data, prompts=texts)
    where = {"a key with spaces": texts, "style": ("photo",)}
    changed = replace(recipe, diffusion=replace(recipe.diffusion, data=data, where=where))
    (tmp_path / "r.toml").write_text(to_toml(changed), "utf-8")
    assert read_recipe(str(tmp_path / "r.toml")) == changed


def test_an_empty_recipe_has_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    assert read_recipe(str(tmp_path / "empty.toml")) == Recipe()


def test_changes_take_toml_values_and_words() -> None:
    changes = [
        "clip.loop.steps=7",
        "clip.loop.learning_rate = 1",
        "clip.loop.decay=constant",
        'clip.where.style=["photo", "noto"]',
    ]
    recipe = read_recipe("tiny", changes).clip
    assert (recipe.loop.steps, recipe.loop.learning_rate, recipe.loop.decay) == (7, 1.0, "constant")
    assert isinstance(recipe.loop.learning_rate, float)
    assert recipe.where == {"style": ("photo", "noto")}
    assert recipe.text == read_recipe("tiny").clip.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("clip.loop.step=7", "clip.loop.step is no field. Did you mean 'steps'?"),
        ("clop.loop.steps=7", "clop is no field. Did you mean 'clip'?"),
        ("clip.loop.steps=7.5", "clip.loop.steps is 7.5; it must be of type int"),
        ("clip.loop.steps=true", "clip.loop.steps is True; it must be of type int"),
        ("clip.loop.learning_rate=fast", "clip.loop.learning_rate is 'fast'; it must be of type float"),
        ("clip.loop.learning_rate=nan", "loop.learning_rate is nan; it must be at least 0"),
        ("clip.loop.steps=0", "loop.steps is 0; it must be at least 1"),
        ("clip.loop.average_decay=1.5", "loop.average_decay is 1.5; it must be from 0 to 1"),
        ("clip.loop.gradient_clip=0", "loop.gradient_clip is 0.0; it must be above 0"),
        ("clip.loop.precision=fp8", "clip.loop.precision is 'fp8'; allowed: 'bf16', 'fp16', 'fp32'"),
        ("clip.loop.precision=fp16", 'loop.precision is "fp16", which needs a GPU; on \'cpu\' take "bf16" or "fp32"'),
        ("clip.loop.accumulate=0", "loop.accumulate is 0; it must be at least 1"),
        ("clip.loop.patience=0", "loop.patience is 0; it must be at least 1"),
        ("clip.loop.keep=1", "loop.keep is 1; it must be at least 2"),
        ("clip.loop.workers=-1", "loop.workers is -1; it must be at least 0"),
        (
            "clip.loop.allow=['sed']",
            "clip.loop.allow[0] is 'sed'; allowed: 'batch_size', 'accumulate', 'seed', 'optimiser', 'data'",
        ),
        ("clip.loop=3", "clip.loop is 3; it must be a table"),
        ("clip.data.vocabulary=10", "data.vocabulary is 10; it must be at least 600"),
        ("clip.text.width=130", "TextEncoderConfig.heads is 4; it must divide 130"),
        ("clip.where.style=photo", "clip.where.style is 'photo'; it must be a list"),
        ("clip.where=photo", "clip.where is 'photo'; it must be a table"),
        ("diffusion.network.channels=[64, 'x']", "diffusion.network.channels[1] is 'x'; it must be of type int"),
        ("diffusion.data.colours=['purpel']", "data.colours 'purpel' is unknown. Did you mean 'purple'?"),
        ("diffusion.data.colours=[]", "data.colours is empty"),
        ("diffusion.data.caption_dropout=2", "data.caption_dropout is 2.0; it must be from 0 to 1"),
        ("autoencoder.loss.crop=128", "loss.crop is 128; it must be at most loss.size, the whole picture's 64"),
        ("autoencoder.loss.crop=30", "autoencoder.loss.crop is 30; it must be a multiple of 4"),
        ("decoder.data.scene_share=0.5", "decoder.data.scene_share is no field"),
        ("sketch.sketch.included=true", "sketch.sketch.size is 256; it must be 64"),
        ("clip.loop.steps", "sets no field"),
        ("clip.loop.steps.more=7", "nothing can be set inside it"),
        ("=7", "sets no field"),
    ],
)
def test_what_is_wrong_is_named(change: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        read_recipe("tiny", [change])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"recipe 'tiney' is unknown\. Did you mean 'tiny'\?"):
        read_recipe("tiney")
    for content in (b"clip = [", b"\xff"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(BadInput, match=r"bad\.toml' cannot be read"):
            read_recipe(str(tmp_path / "bad.toml"))
