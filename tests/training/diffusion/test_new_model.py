"""A new model of any kind is refused, naming the field, where its recipe does not suit it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safelight.autoencoder import Autoencoder, Pixels
from safelight.errors import BadInput
from safelight.training.diffusion.new_model import check_network
from safelight.training.diffusion.settings import DiffusionDataConfig, LearningConfig
from safelight.training.engine.lock import Claim
from safelight.training.recipe import DiffusionRecipe
from safelight.training.recipe_file import from_table, to_toml
from safelight.training.stages import STAGES, Inputs, check_inputs
from tests.training.diffusion.tiny_kinds import AUTOENCODER, CROSS, RECIPES, SELF, recipe_of

FIRST = Autoencoder(AUTOENCODER)


def test_the_recipes_of_all_kinds_suit_them() -> None:
    for kind in RECIPES:
        check_network(recipe_of(kind), FIRST)


def changed(kind: str, **changes: Any) -> DiffusionRecipe:
    recipe = recipe_of(kind)
    return replace(recipe, network=replace(recipe.network, **changes))


@pytest.mark.parametrize(
    ("recipe", "fault"),
    [
        (
            changed("inpainting", in_channels=4),
            r"network.in_channels is 4; .*'inpainting' needs 7: 3 of a latent and 4",
        ),
        (
            changed("text", in_channels=4),
            r"network.in_channels is 4; a model of the kind 'text' needs 3: 3 of a latent",
        ),
        (changed("text", out_channels=4), r"network.out_channels is 4; .* needs 3, as a latent has"),
        (changed("text", sample_size=15), r"network.sample_size is 15; .* needs a multiple of 2"),
        (changed("text", classes=3), r"network.classes is 3; .*'text' needs 0"),
        (changed("upscaling", classes=20), r"network.classes is 20; .*'upscaling' needs at least 21"),
        (changed("text", guidance_width=8), r"network.guidance_width is 8; .* needs 0"),
        (
            replace(recipe_of("text"), network=replace(SELF, in_channels=3)),
            r"network.attention is .*; .*'text' needs \"cross\" on a level",
        ),
        (
            replace(recipe_of("unconditional"), network=replace(CROSS, in_channels=3)),
            r"network.attention is .*'unconditional' needs \"self\"",
        ),
        (changed("class", context_width=24), r"class_embedder.width is 16; .* needs 24, as network.context_width"),
        (changed("layout", context_width=24), r"boxes.width is 16; .* needs 24"),
        (
            replace(recipe_of("layout"), boxes=replace(recipe_of("layout").boxes, length=9)),
            r"boxes.length is 9; .* needs a multiple of 3 and 2 more",
        ),
        (
            replace(recipe_of("class"), model=LearningConfig(text_encoder=True)),
            r"model.text_encoder is True; .*'class' needs false: it reads no text",
        ),
        (
            replace(changed("semantic"), rescaler=replace(recipe_of("semantic").rescaler, stages=2)),
            r"rescaler.stages is 2; .* needs as many halvings as make 2",
        ),
    ],
)
def test_the_wrong_field_is_named(recipe: DiffusionRecipe, fault: str) -> None:
    with pytest.raises(BadInput, match=rf"diffusion\.{fault}"):
        check_network(recipe, FIRST)


def test_restoration_needs_latents_like_pictures() -> None:
    four = Autoencoder(replace(AUTOENCODER, latent_channels=4))
    with pytest.raises(BadInput, match='"restoration"; latents then need 3 channels, not 4'):
        check_network(changed("restoration", in_channels=7, out_channels=4), four)


def test_what_needs_an_autoencoder_is_refused_on_pixels() -> None:
    with pytest.raises(
        BadInput, match=r"data\.space is \"pixels\" and data\.kind 'depth'; allowed on pixels: text, unc"
    ):
        DiffusionDataConfig(kind="depth", space="pixels")
    check_network(replace(recipe_of("text"), data=DiffusionDataConfig(space="pixels")), Pixels())


@pytest.mark.parametrize(
    ("kind", "space", "needed"),
    [
        ("text", "latents", ["autoencoder", "clip"]),
        ("text", "pixels", ["clip"]),
        ("unconditional", "latents", ["autoencoder"]),
        ("class", "pixels", []),
        ("depth", "latents", ["autoencoder", "clip"]),
    ],
)
def test_only_the_stages_that_a_kind_needs_are_asked_for(kind: Any, space: Any, needed: list[str]) -> None:
    recipe = DiffusionRecipe(data=DiffusionDataConfig(kind=kind, space=space))
    given: dict[str, Any] = {"data": Path()}
    for name in needed:
        with pytest.raises(BadInput, match=f"--{name} is missing; `safelight train diffusion` needs it"):
            check_inputs("diffusion", Inputs(out=Path(), claim=Claim(Path()), **given), recipe)
        given[name] = Path()
    check_inputs("diffusion", Inputs(out=Path(), claim=Claim(Path()), **given), recipe)
    assert set(needed) <= set(STAGES["diffusion"].needs)


def test_every_kind_is_one_recipe_file() -> None:
    import tomllib

    for kind in RECIPES:
        recipe = recipe_of(kind)
        written = to_toml(recipe, "diffusion")
        assert from_table(DiffusionRecipe, tomllib.loads(written)["diffusion"], "diffusion") == recipe
        assert "# what a new model draws from" in written
