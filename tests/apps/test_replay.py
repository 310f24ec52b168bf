"""`safelight replay`: the same picture to the byte, or the reason why not."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_model import tiny_parts

import safelight
from safelight.apps.cli import main
from safelight.autoencoder import TinyDecoder
from safelight.configs import TinyAutoencoderConfig
from safelight.converting import convert
from safelight.images import Drawn
from safelight.pipeline import Pipeline
from safelight.weights.tiny_autoencoder import save_tiny_decoder

FEW = {"num_inference_steps": 3, "seed": 7}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def replay(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    code = main(["replay", *words, "--json", "--device", "cpu"])
    said = capsys.readouterr()
    return code, json.loads(said.out or "{}"), said.err


def test_the_same_picture_again(pipe: Pipeline, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = pipe(
        "яблоко 🍎", negative_prompt="a table", sampler="euler_ancestral", grid=None, guidance_rescale=0.3,
        guidance_start=0.25, guidance_end=0.5, width=72, num_images=2, **FEW,
    ).images[1]  # fmt: skip
    drawn.save("fox.png")
    answer = {"same": True, "same_model": True, "seed": 8}
    assert replay("fox.png", "--model", str(model_folder), "--out", "again.png", capsys=capsys) == (0, answer, "")
    with Image.open("again.png") as again:
        assert again.tobytes() == drawn.tobytes()
        assert again.info == drawn.info
    assert main(["replay", "again.png", "--model", str(model_folder)]) == 0
    assert capsys.readouterr().out == "the same, byte for byte\n"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_in_half_precision(dtype: str, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["generate", "a red apple", "--steps", "2", "--dtype", dtype, "--out", "x.png"]
    assert main([*command, "--model", str(model_folder)]) == 0
    capsys.readouterr()
    assert replay("x.png", "--model", str(model_folder), capsys=capsys)[1]["same"]


def test_from_a_picture_and_a_mask(
    pipe: Pipeline, model_folder: Path, picture: Image.Image, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 64, 32))
    picture.save("start.png")
    mask.save("mask.png")
    pipe("a", image=picture, mask_image=mask, strength=1, **FEW).images[0].save("x.png")
    model = ["--model", str(model_folder)]
    assert replay("x.png", *model, "--image", "start.png", "--mask", "mask.png", capsys=capsys)[1]["same"]
    for words, said in (
        (["--mask", "mask.png"], "give it with --image"),
        (["--image", "start.png"], "give it with --mask"),
        (["--image", "mask.png", "--mask", "mask.png"], "--image is not the picture"),
        (["--image", "start.png", "--mask", "start.png"], "--mask is not the picture"),
    ):
        code, answer, error = replay("x.png", *model, *words, capsys=capsys)
        assert (code, answer) == (2, {})
        assert said in error


def test_a_source_that_was_not_used(pipe: Pipeline, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe("a", **FEW).images[0].save("x.png")
    code, _, error = replay("x.png", "--model", str(model_folder), "--image", "x.png", capsys=capsys)
    assert code == 2
    assert "made without one" in error


def test_another_model_is_told(pipe: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Pipeline(tiny_parts(seed=1)).save(tmp_path / "other")
    pipe("a red apple", **FEW).images[0].save("x.png")
    answer = {"same": False, "same_model": False, "seed": 7}
    assert replay("x.png", "--model", "other", capsys=capsys) == (0, answer, "")
    assert main(["replay", "x.png", "--model", "other"]) == 0
    assert capsys.readouterr().out == "not the same; the model's weights are not those of the recipe\n"


def test_a_changed_picture_is_told(pipe: Pipeline, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = pipe("a red apple", **FEW).images[0]
    red, green, blue = drawn.getpixel((5, 5))
    drawn.putpixel((5, 5), (red ^ 1, green, blue))
    drawn.save("x.png")
    assert replay("x.png", "--model", str(model_folder), capsys=capsys)[1] == {
        "same": False,
        "same_model": True,
        "seed": 7,
    }


def test_the_model_is_looked_for_where_the_recipe_says(
    pipe: Pipeline, model_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe("a", **FEW).images[0].save("x.png")
    code, _, error = replay("x.png", capsys=capsys)
    assert code == 2
    assert "The model 'tiny' of this picture is not here; say with --model where it is." in error
    here = Path.cwd()
    monkeypatch.chdir(model_folder.parent)
    assert replay(str(here / "x.png"), capsys=capsys)[1]["same"]


@pytest.mark.parametrize("name", ["run", "one.safetensors"])
def test_a_run_and_a_file_are_found_again(name: str, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(model_folder, name if "." in name else f"{name}/model")
    safelight.load(name, device="cpu")("a", **FEW).images[0].save("x.png")
    assert replay("x.png", capsys=capsys)[1]["same"]


@pytest.mark.parametrize(
    "words",
    [
        ["--prediction", "x0"],
        ["--vae", "other"],
        ["--text-encoder", "other/text_encoder"],
        ["--unet", "other"],
        ["--vae", "tiny.safetensors", "--unet", "other"],
    ],
)
def test_how_the_model_was_opened_is_remembered(
    words: list[str], model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = tiny_parts(seed=1)
    Pipeline(parts).save("other")
    levels = (1,) * len(parts.autoencoder.config.channels)
    save_tiny_decoder("tiny.safetensors", TinyDecoder(TinyAutoencoderConfig(width=4, decoder_blocks=levels)))
    command = ["generate", "a red apple", "--steps", "2", "--seed", "1", "--out", "x.png", "--model", str(model_folder)]
    assert main([*command[:-4], "--out", "plain.png", "--model", str(model_folder)]) == 0
    assert main([*command, *words]) == 0
    capsys.readouterr()
    assert Path("x.png").read_bytes() != Path("plain.png").read_bytes()
    assert replay("x.png", "--model", str(model_folder), capsys=capsys)[1]["same"]


def test_a_part_that_was_moved_is_named(pipe: Pipeline, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Pipeline(tiny_parts(seed=1)).save("other")
    safelight.load(model_folder, device="cpu", autoencoder="other/vae")("a", **FEW).images[0].save("x.png")
    Path("other").rename("moved")
    code, _, error = replay("x.png", "--model", str(model_folder), capsys=capsys)
    assert code == 2
    assert "The autoencoder 'other/vae' of this picture is not here; say with --vae where it is." in error
    assert replay("x.png", "--model", str(model_folder), "--vae", "moved", capsys=capsys)[1]["same"]
    pipe("a", **FEW).images[0].save("own.png")
    code, _, error = replay("own.png", "--model", str(model_folder), "--unet", "moved", capsys=capsys)
    assert code == 2
    assert "--unet 'moved' was given, but this picture was made with the model's own." in error


def test_a_variant_is_of_the_files_that_it_was_in(
    pipe: Pipeline, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = pipe("a", **FEW).recipes[0]
    picture = pipe("a", **FEW).images[0]
    said = json.dumps({**asdict(recipe), "opened": {"variant": "fp16"}})
    Drawn.of(picture, {"safelight": said}).save("x.png")
    assert replay("x.png", "--model", str(model_folder), capsys=capsys)[1]["same"]


def test_what_cannot_be_replayed(
    pipe: Pipeline, model_folder: Path, picture: Image.Image, capsys: pytest.CaptureFixture[str]
) -> None:
    result = pipe("a", latents=torch.zeros(1, 4, 8, 8), **FEW)
    result.images[0].save("latents.png")
    picture.save("plain.png")
    picture.save("x.jpg")
    Path("text.png").write_text("I am no picture.")
    recipe = replace(result.recipes[0], own_latents=False)
    changed = {
        "json.png": '{"prompt": ',
        "strange.png": json.dumps({**asdict(recipe), "zoom": 2}),
        "size.png": json.dumps({**asdict(recipe), "width": 63}),
        "sampler.png": json.dumps({**asdict(recipe), "sampler": "eulr"}),
        "dtype.png": json.dumps({**asdict(recipe), "dtype": "float3"}),
        "prompt.png": json.dumps({**asdict(recipe), "prompt": "\ud800"}),
        "number.png": json.dumps({**asdict(recipe), "inputs": {"noise_level": 3}}),
        "adapters.png": json.dumps({**asdict(recipe), "inputs": {"adapters": "x"}}),
        "label.png": json.dumps({**asdict(recipe), "inputs": {"class_label": "x"}}),
        "boxes.png": json.dumps({**asdict(recipe), "inputs": {"boxes": "5"}}),
        "opened.png": json.dumps({**asdict(recipe), "opened": {"zoom": "2"}}),
        "parts.png": json.dumps({**asdict(recipe), "opened": {"unet": 2}}),
        "prediction.png": json.dumps({**asdict(recipe), "opened": {"prediction": "w"}}),
        "weights.png": json.dumps({**asdict(recipe), "opened": {"weights": "cooked"}}),
        "unet.png": json.dumps({**asdict(recipe), "opened": {"unet": "some/where"}}),
    }
    for name, text in changed.items():
        Drawn.of(picture, {"safelight": text}).save(name)
    for name, said in {
        "latents.png": "no seed brings it back",
        "plain.png": "'plain.png' carries no Safelight recipe",
        "x.jpg": "carries no Safelight recipe",
        "text.png": "is not a readable picture",
        "absent.png": "No such file",
        "json.png": "is damaged",
        "strange.png": "does not know: zoom",
        "opened.png": "no model is opened by zoom",
        "parts.png": "opened.unet is 2",
        "prediction.png": "prediction 'w' is unknown",
        "weights.png": "opened.weights is 'cooked'",
        "unet.png": "The unet 'some/where' of this picture is not here; say with --unet where it is.",
        "size.png": "width is 63",
        "sampler.png": "Did you mean 'euler'?",
        "dtype.png": "dtype 'float3' is unknown",
        "prompt.png": "no UTF-8",
        "number.png": "'number.png' is damaged: inputs.noise_level is 3",
        "adapters.png": "'adapters.png' is damaged",
        "label.png": "'label.png' is damaged",
        "boxes.png": "'boxes.png' is damaged",
    }.items():
        code, answer, error = replay(name, "--model", str(model_folder), capsys=capsys)
        assert (code, answer, error.count("\n")) == (2, {}, 1)
        assert said in error


def test_the_new_picture_must_have_a_place(
    pipe: Pipeline, model_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe("a", **FEW).images[0].save("x.png")
    monkeypatch.setattr("safelight.pipeline.load", lambda *_, **__: pytest.fail("work began"))
    code, _, error = replay("x.png", "--model", str(model_folder), "--out", "no/x.png", capsys=capsys)
    assert code == 2
    assert "does not exist" in error
