"""The recipe inside a PNG: complete, readable by other programs, and read back with care."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from safelight.diffusion.samplers import SAMPLERS
from safelight.errors import BadInput
from safelight.images import Drawn, write_picture
from safelight.recipe import SAMPLER_NAMES, Recipe, read_recipe
from safelight.request import Request

RECIPE = Recipe(
    prompt="a red apple,\nunder the moon",
    negative_prompt="a table: ugly",
    width=72,
    height=40,
    num_inference_steps=12,
    guidance_scale=7.0,
    guidance_rescale=0.25,
    guidance_start=0.25,
    guidance_end=0.5,
    sampler="euler_ancestral",
    grid="karras",
    seed=2**63 - 1,
    strength=0.6,
    image="1" * 64,
    mask="2" * 64,
    own_latents=True,
    model="tiny",
    fingerprint="0123456789abcdef",
    dtype="bfloat16",
    version="0.1.0",
)


def carrying(text: str | None) -> Image.Image:
    return Drawn.of(Image.new("RGB", (8, 8)), {} if text is None else {"safelight": text})


def test_the_words_that_other_programs_read() -> None:
    assert RECIPE.parameters() == (
        "a red apple,\nunder the moon\n"
        "Negative prompt: a table: ugly\n"
        "Steps: 12, Sampler: Euler a Karras, CFG scale: 7, Seed: 9223372036854775807, Size: 72x40, "
        "Model hash: 0123456789, Model: tiny, Denoising strength: 0.6, Version: Safelight 0.1.0"
    )


def test_what_is_not_there_is_not_said() -> None:
    plain = Recipe(prompt="a", width=8, height=8, seed=0, grid=None)
    assert plain.parameters() == (
        "a\nSteps: 25, Sampler: DPM++ 2M, CFG scale: 7.5, Seed: 0, Size: 8x8, Version: Safelight "
    )


def test_settings_are_found_by_the_pattern_of_the_web_interface() -> None:
    """AUTOMATIC1111, modules/infotext_utils.py: re_param_code."""
    pattern = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
    line = replace(RECIPE, model='a, "b": c').parameters().splitlines()[-1]
    found = dict(pattern.findall(line))
    assert found["Steps"] == "12"
    assert found["Seed"] == "9223372036854775807"
    assert json.loads(found["Model"]) == 'a, "b": c'
    assert found["Denoising strength"] == "0.6"


def test_every_sampler_has_a_name_there() -> None:
    assert SAMPLER_NAMES.keys() == SAMPLERS.keys()


def test_a_recipe_holds_every_argument_of_a_call() -> None:
    shown = (
        "depth_map",
        "semantic_map",
        "class_label",
        "boxes",
        "noise_level",
        "image_guidance_scale",
        "control_image",
    )
    renamed = {"mask_image": "mask", "num_images": None, "latents": "own_latents", **dict.fromkeys(shown, "inputs")}
    arguments = {renamed.get(field.name, field.name) for field in fields(Request)} - {None}
    assert arguments <= {field.name for field in fields(Recipe)}
    defaults = {field.name: field.default for field in fields(Request)}
    for field in fields(Recipe):
        if field.name.startswith("guidance") or field.name in ("num_inference_steps", "sampler", "grid"):
            assert field.default == defaults[field.name]


@pytest.mark.parametrize("prompt", ["a", "яблоко 苹果 🍎", "é", "\0\t\r\n", "", "{}<>\"'\\", "long " * 50_000])
def test_a_recipe_comes_back_from_a_file(prompt: str, tmp_path: Path) -> None:
    recipe = replace(RECIPE, prompt=prompt, negative_prompt=prompt)
    write_picture(Drawn.of(Image.new("RGB", (8, 8)), recipe.chunks()), tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        assert read_recipe(picture, "x.png") == recipe


def test_whole_numbers_stand_for_numbers() -> None:
    recipe = replace(RECIPE, guidance_scale=7, strength=1)
    assert read_recipe(carrying(recipe.chunks()["safelight"]), "x.png") == recipe


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "carries no Safelight recipe"),
        ("", "is damaged"),
        ('{"prompt": "a', "is damaged"),
        ("[" * 100_000, "is damaged"),
        ("[]", "no JSON object"),
        ('"text"', "no JSON object"),
        ("7", "no JSON object"),
        ("{}", "it has no prompt, width, height, seed"),
    ],
)
def test_a_damaged_recipe(text: str | None, words: str) -> None:
    with pytest.raises(BadInput, match=words) as raised:
        read_recipe(carrying(text), "fox.png")
    assert "'fox.png'" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", ["a"]),
        ("prompt", None),
        ("width", "72"),
        ("width", 72.5),
        ("seed", None),
        ("strength", "0.6"),
        ("guidance_scale", None),
        ("model", 5),
        ("own_latents", "no"),
        ("dtype", None),
        ("image", 7),
    ],
)
def test_a_field_of_another_kind(name: str, value: Any) -> None:
    text = json.dumps({**asdict(RECIPE), name: value})
    with pytest.raises(BadInput, match=f"{name} is "):
        read_recipe(carrying(text), "x.png")


def test_fields_that_we_do_not_know() -> None:
    text = json.dumps({**asdict(RECIPE), "zoom": 2, "lora": "x"})
    with pytest.raises(BadInput, match="does not know: lora, zoom"):
        read_recipe(carrying(text), "x.png")
