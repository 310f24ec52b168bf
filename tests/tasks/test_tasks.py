"""Every kind of model draws, asks by name for what it is missing, and comes back from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

import safelight
from safelight.conditioning import Box
from safelight.errors import BadInput
from safelight.pipeline import Pipeline
from safelight.recipe import read_recipe
from tasks.family import FAMILY

FEW = {"num_inference_steps": 2, "seed": 7, "sampler": "ddim", "grid": "leading"}


def ramp(width: int = 64, height: int = 64) -> Image.Image:
    """A grey picture that grows lighter to the right."""
    return Image.fromarray(numpy.tile(numpy.linspace(0, 255, width).astype("uint8"), (height, 1)))


def labels(width: int = 64, height: int = 64) -> Image.Image:
    """A map of labels 0 to 3."""
    return Image.fromarray((numpy.indices((height, width)).sum(0) // 40).astype("uint8"))


@pytest.fixture
def half() -> Image.Image:
    """A mask: the right half is to be redrawn."""
    return Image.fromarray(numpy.repeat([[0] * 32 + [255] * 32], 64, 0).astype("uint8"))


@pytest.fixture
def inputs(picture: Image.Image, half: Image.Image) -> dict[str, dict[str, Any]]:
    """What each kind of model is shown."""
    boxes = [Box(label=3, left=0.1, top=0.2, right=0.6, bottom=0.9)]
    return {
        "text": {"prompt": "a red apple"},
        "bert": {"prompt": "a red apple"},
        "inpainting": {"prompt": "a red apple", "image": picture, "mask_image": half},
        "filling": {"image": picture, "mask_image": half},
        "depth": {"prompt": "a red apple", "depth_map": ramp()},
        "instruction": {"prompt": "make it red", "image": picture},
        "upscaling": {"prompt": "a red apple", "image": picture.resize((16, 24))},
        "variation": {"image": picture},
        "unconditional": {},
        "pixels": {"width": 16, "height": 16},
        "class": {"class_label": 3},
        "layout": {"boxes": boxes},
        "semantic": {"semantic_map": labels()},
        "restoration": {"image": picture.resize((16, 24))},
    }


def draw(pipe: Pipeline, options: dict[str, Any], **changes: Any) -> Image.Image:
    return pipe(**{**FEW, **options, **changes}).images[0]


@pytest.mark.parametrize("kind", FAMILY)
def test_its_parts_tell_what_it_draws_from(kind: str) -> None:
    assert FAMILY[kind]().task == {"pixels": "unconditional", "bert": "text"}.get(kind, kind)


@pytest.mark.parametrize("kind", FAMILY)
def test_it_draws_and_comes_back_from_its_folder(kind: str, inputs: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    pipe = Pipeline(FAMILY[kind]())
    picture = draw(pipe, inputs[kind])
    assert len(set(picture.tobytes())) > 20
    pipe.save(tmp_path / "model")
    again = safelight.load(tmp_path / "model", device="cpu")
    assert draw(again, inputs[kind]).tobytes() == picture.tobytes()
    for name, network in pipe.parts().__dict__.items():
        if isinstance(network, torch.nn.Module):
            loaded = getattr(again, name).state_dict()
            assert all(torch.equal(tensor, loaded[key]) for key, tensor in network.state_dict().items()), name


@pytest.mark.parametrize("kind", FAMILY)
def test_every_input_counts(kind: str, inputs: dict[str, dict[str, Any]], picture: Image.Image) -> None:
    pipe, options = Pipeline(FAMILY[kind]()), inputs[kind]
    other = {
        "prompt": "two cats under the moon",
        "image": options["image"].rotate(180) if "image" in options else None,
        "mask_image": Image.new("L", (64, 64), 255),
        "depth_map": ramp().rotate(90),
        "class_label": 4,
        "boxes": [Box(label=4, left=0.1, top=0.2, right=0.6, bottom=0.9)],
        "semantic_map": labels().rotate(180),
        "seed": 8,
    }
    before = draw(pipe, options).tobytes()
    for name in [*options, "seed"]:
        if name not in ("width", "height"):
            assert draw(pipe, options, **{name: other[name]}).tobytes() != before, name


@pytest.mark.parametrize("kind", FAMILY)
def test_what_is_missing_is_asked_for_by_name(kind: str, inputs: dict[str, dict[str, Any]]) -> None:
    pipe = Pipeline(FAMILY[kind]())
    for name in pipe.task.needs:
        with pytest.raises(BadInput, match=rf"This model .*: it needs .*\b{name} \("):
            # A mask without its picture is refused before any model is asked.
            draw(pipe, {**inputs[kind], name: None, **({"mask_image": None} if name == "image" else {})})


@pytest.mark.parametrize("kind", FAMILY)
def test_what_it_has_no_use_for_is_refused(kind: str, inputs: dict[str, dict[str, Any]]) -> None:
    pipe = Pipeline(FAMILY[kind]())
    useless = {"class_label": 1, "depth_map": ramp(), "semantic_map": labels(), "noise_level": 3}
    for name in useless.keys() - {*pipe.task.needs, *pipe.task.takes}:
        with pytest.raises(BadInput, match=f"it has no use for {name}"):
            draw(pipe, inputs[kind], **{name: useless[name]})
    if pipe.task.strength is None:
        with pytest.raises(BadInput, match=r"it starts from noise; leave out strength \(got 0.5\)"):
            draw(pipe, inputs[kind], strength=0.5)
    if not pipe.task.reads_text:
        with pytest.raises(BadInput, match="it reads no text; leave the prompt empty"):
            draw(pipe, inputs[kind], prompt="a fox")


@pytest.mark.parametrize("kind", ["upscaling", "restoration"])
def test_an_enlarged_picture_is_four_times_as_large(kind: str, inputs: dict[str, dict[str, Any]]) -> None:
    pipe = Pipeline(FAMILY[kind]())
    assert draw(pipe, inputs[kind]).size == (64, 96)
    odd = inputs[kind]["image"].resize((13, 11))
    assert draw(pipe, inputs[kind], image=odd).size == (52, 44)
    with pytest.raises(BadInput, match="makes a picture 4 times as large as the one given: 64 x 96"):
        draw(pipe, inputs[kind], width=128)


@pytest.mark.parametrize("kind", ["inpainting", "filling"])
def test_what_the_mask_keeps_comes_back_byte_equal(
    kind: str, inputs: dict[str, dict[str, Any]], picture: Image.Image
) -> None:
    drawn, before = (numpy.asarray(each) for each in (draw(Pipeline(FAMILY[kind]()), inputs[kind]), picture))
    assert (drawn[:, :32] == before[:, :32]).all()
    assert (drawn[:, 32:] != before[:, 32:]).mean() > 0.9


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("class", {"class_label": 10}, "class_label is 10; this model knows the classes 0 to 9"),
        ("upscaling", {"noise_level": 351}, "noise_level is 351; this model was trained with 0 to 350"),
        ("variation", {"noise_level": 1000}, "noise_level is 1000; this model was trained with 0 to 999"),
        ("semantic", {"semantic_map": ramp()}, "semantic_map holds the label 255; this model knows 0 to 6"),
        (
            "semantic",
            {"semantic_map": labels().convert("I").point(lambda label: label - 1)},
            "semantic_map holds the label -1; this model knows",
        ),
        ("semantic", {"semantic_map": ramp().convert("F")}, "semantic_map is a picture in F; it must be grey"),
        ("semantic", {"semantic_map": ramp().convert("RGB")}, "semantic_map is a picture in RGB; it must be grey"),
    ],
)
def test_bad_values(kind: str, change: dict[str, Any], message: str, inputs: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(BadInput, match=message):
        draw(Pipeline(FAMILY[kind]()), inputs[kind], **change)


def test_a_depth_map_may_have_fractions(inputs: dict[str, dict[str, Any]]) -> None:
    pipe = Pipeline(FAMILY["depth"]())
    whole = draw(pipe, inputs["depth"]).tobytes()
    assert draw(pipe, inputs["depth"], depth_map=ramp().convert("F")).tobytes() == whole


def test_the_recipe_says_what_was_shown(inputs: dict[str, dict[str, Any]]) -> None:
    for kind, names in {
        "depth": {"depth_map"},
        "class": {"class_label"},
        "layout": {"boxes"},
        "instruction": {"image_guidance_scale"},
        "text": set(),
    }.items():
        recipe = read_recipe(draw(Pipeline(FAMILY[kind]()), inputs[kind]), "x.png")
        assert recipe.inputs.keys() == names


def test_guidance_by_picture_is_a_scale_of_its_own(inputs: dict[str, dict[str, Any]]) -> None:
    pipe, options = Pipeline(FAMILY["instruction"]()), inputs["instruction"]
    pictures = {draw(pipe, options, image_guidance_scale=scale).tobytes() for scale in (1.0, 1.5, 4.0)}
    assert len(pictures) == 3


def test_the_upscaler_is_told_the_level_of_the_noise(inputs: dict[str, dict[str, Any]]) -> None:
    pipe, options = Pipeline(FAMILY["upscaling"]()), inputs["upscaling"]
    default = draw(pipe, options).tobytes()
    assert draw(pipe, options, noise_level=20).tobytes() == default != draw(pipe, options, noise_level=0).tobytes()
