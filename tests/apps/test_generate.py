"""`safelight generate`: words become pictures in files, or one line that says why not."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from safelight.apps.cli import main
from safelight.apps.generate import draw, free_files, output_files
from safelight.pipeline import Pipeline
from safelight.recipe import read_recipe


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def words(model_folder: Path) -> list[str]:
    """A command that works."""
    return ["generate", "a", "red", "apple", "--model", str(model_folder), "--steps", "3", "--seed", "7"]


def refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a wrong command is answered with."""
    try:
        code = main(command)
    except SystemExit as left:  # argparse's way
        code = left.code
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert said.err.startswith("safelight: ")
    assert said.err.count("\n") == 1
    return said.err


def test_a_picture(words: list[str], pipe: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out == "picture-1.png  seed 7\n"
    with Image.open("picture-1.png") as picture:
        expected = pipe("a red apple", seed=7, num_inference_steps=3)
        assert picture.tobytes() == expected.images[0].tobytes()
        assert read_recipe(picture, "picture-1.png") == expected.recipes[0]


def test_a_model_that_was_distilled_draws_in_its_own_way_unless_it_is_told_another(pipe: Pipeline) -> None:
    distilled = Pipeline(replace(pipe.parts(), sampler="lcm"))
    distilled.save("distilled")
    command = ["generate", "a", "red", "apple", "--model", "distilled", "--seed", "7", "--out"]
    assert main([*command, "own.png"]) == 0
    assert main([*command, "other.png", "--sampler", "euler", "--steps", "2", "--grid", "leading"]) == 0
    own, other = (read_recipe(Image.open(name), name) for name in ("own.png", "other.png"))
    assert (own.sampler, own.grid, own.num_inference_steps) == ("lcm", None, 4)
    assert (other.sampler, other.grid, other.num_inference_steps) == ("euler", "leading", 2)


def test_every_option_reaches_the_call(words: list[str], picture: Image.Image) -> None:
    picture.save("start.png")
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 64, 32))
    mask.save("mask.png")
    options = {
        "--negative": "a table", "--guidance": "3", "--sampler": "euler", "--grid": "leading", "--width": "72",
        "--height": "40", "--count": "2", "--image": "start.png", "--strength": "0.9", "--mask": "mask.png",
        "--out": "x.png", "--sheet": "sheet.png", "--dtype": "bfloat16", "--device": "cpu",
    }  # fmt: skip
    assert main([*words, *(word for pair in options.items() for word in pair)]) == 0
    assert sorted(file.name for file in Path.cwd().iterdir()) == [
        "mask.png",
        "sheet.png",
        "start.png",
        "x-1.png",
        "x-2.png",
    ]
    with Image.open("x-2.png") as drawn, Image.open("sheet.png") as sheet:
        recipe = read_recipe(drawn, "x-2.png")
        assert sheet.size == (144, 40)
    assert (recipe.prompt, recipe.negative_prompt, recipe.seed) == ("a red apple", "a table", 8)
    assert (recipe.width, recipe.height, recipe.num_inference_steps) == (72, 40, 3)
    assert (recipe.guidance_scale, recipe.sampler, recipe.grid) == (3, "euler", "leading")
    assert (recipe.strength, recipe.dtype, recipe.model) == (0.9, "bfloat16", "tiny")
    assert recipe.image
    assert recipe.mask


def test_json_is_one_object_and_nothing_else(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--json", "--count", "2", "--out", "яблоко.png"]) == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert said.err == ""
    assert answer["pictures"] == [
        {"file": "яблоко-1.png", "seed": 7, "width": 64, "height": 64},
        {"file": "яблоко-2.png", "seed": 8, "width": 64, "height": 64},
    ]
    assert answer["model"] == "tiny"
    assert answer["seconds"] > 0


def test_the_bundled_model_is_the_default(
    words: list[str], model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safelight.opening.BUNDLED", model_folder)
    at = words.index("--model")
    assert main([*words[:at], *words[at + 2 :]]) == 0
    with Image.open("picture-1.png") as picture:
        assert read_recipe(picture, "picture-1.png").model == "bundled"


def test_without_a_name_nothing_is_replaced(words: list[str]) -> None:
    Path("picture-1.png").write_text("mine")
    Path("picture-1-2.png").write_text("mine too")
    assert main(words) == 0
    assert main([*words, "--count", "2"]) == 0
    assert sorted(file.name for file in Path.cwd().iterdir()) == [
        "picture-1-2.png",
        "picture-1.png",
        "picture-2-1.png",
        "picture-2-2.png",
        "picture-2.png",
    ]
    assert Path("picture-1.png").read_text() == "mine"


def test_a_name_that_another_run_has_taken_meanwhile_is_left_to_it(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw_slowly(*given: Any) -> Any:
        Path("picture-1-2.png").write_text("theirs")
        return draw(*given)

    monkeypatch.setattr("safelight.apps.generate.draw", draw_slowly)
    assert main([*words, "--count", "2"]) == 0
    assert Path("picture-1-2.png").read_text() == "theirs"
    assert sorted(file.name for file in Path.cwd().iterdir()) == [
        "picture-1-2.png",
        "picture-2-1.png",
        "picture-2-2.png",
    ]


def test_a_name_that_is_taken_at_the_same_moment_gives_back_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(out: Path | None, count: int) -> list[Path]:
        """The first names, and just then another run takes the second of them."""
        files = output_files(out, count)
        if files[0].name == "picture-1-1.png":
            files[1].write_text("theirs")
        return files

    monkeypatch.setattr("safelight.apps.generate.output_files", chosen)
    assert free_files(2) == [Path("picture-2-1.png"), Path("picture-2-2.png")]
    assert Path("picture-1-2.png").read_text() == "theirs"
    assert not Path("picture-1-1.png").exists()


def test_too_large_for_the_memory(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Pipeline, "decode", full)
    said = refused([*words, "--count", "2", "--width", "72"], capsys)
    assert "not enough memory for 2 x 72 x 64 pixels in float32; ask for fewer (--count)" in said
    assert list(Path.cwd().iterdir()) == []


def test_a_file_that_was_named_is_replaced(words: list[str]) -> None:
    Path("x.png").write_text("an old one")
    assert main([*words, "--out", "x.png"]) == 0
    assert Image.open("x.png").size == (64, 64)


def test_strength_0_copies_the_picture(words: list[str], picture: Image.Image) -> None:
    picture.save("start.png")
    assert main([*words, "--image", "start.png", "--strength", "0", "--out", "x.png"]) == 0
    assert (numpy.asarray(Image.open("x.png")) == numpy.asarray(picture)).all()


WRONG: dict[str, tuple[list[str], str]] = {
    "an unknown sampler": (["--sampler", "dpmpp_2n"], "Did you mean 'dpmpp_2m'?"),
    "an unknown grid": (["--grid", "karra"], "Did you mean 'karras'?"),
    "an unknown dtype": (["--dtype", "float61"], "Did you mean 'float16'?"),
    "an unknown device": (["--device", "gpu"], "this machine has: cpu"),
    "an unknown option": (["--stesp", "3"], "--stesp"),
    "no steps": (["--steps", "0"], "num_inference_steps is 0; it must be a whole number from 1 to 1000"),
    "half a step": (["--steps", "2.5"], "invalid int value: '2.5'"),
    "a digit too many": (["--steps", "9" * 5000], "invalid int value"),
    "an odd width": (["--width", "63"], "width is 63; it must be a multiple of 8"),
    "a huge height": (["--height", "99999999"], "height is 99999999"),
    "no picture": (["--count", "0"], "num_images is 0"),
    "a negative seed": (["--seed", "-1"], "seed is -1"),
    "a huge seed": (["--seed", str(2**64)], f"seed is {2**64}"),
    "guidance that is no number": (["--guidance", "nan"], "guidance_scale is nan"),
    "a strength above 1": (
        ["--strength", "2", "--image", "text.png"],
        "strength is 2.0; it must be a number from 0 to 1",
    ),
    "no such picture": (["--image", "absent.png"], "No such file"),
    "a text as a picture": (["--image", "text.png"], "'text.png' is not a readable picture"),
    "a strength alone": (["--strength", "0.5"], "--strength 0.5 was given without --image"),
    "guidance that ends first": (["--guidance-start", "0.5", "--guidance-end", "0.25"], "the end must not come first"),
    "a sheet of a picture's name": (["--count", "2", "--out", "c.png", "--sheet", "c-1.png"], "one of the pictures"),
    "a sheet of the picture's name": (["--sheet", "picture-1.png"], "one of the pictures; give it another"),
    "a model with too long a name": (["--model", "x" * 300], "cannot be looked at: File name too long"),
    "a mask alone": (["--mask", "text.png"], "mask_image was given without image"),
    "no such folder": (["--out", "no/x.png"], "'no' does not exist"),
    "a folder": (["--out", "folder.png"], "is a folder"),
    "no ending": (["--out", "x"], "allowed: .png"),
    "no name": (["--out", "", "--count", "2"], "it must name a file"),
    "another ending": (["--out", "x.psd"], "allowed: .png"),
    "a sheet that is no picture": (["--sheet", "x.txt"], "allowed: .png"),
    "a name too long": (["--out", f"{'x' * 300}.png"], "File name too long"),
    "no such model": (["--model", "absent"], "model 'absent' is no folder"),
    "a folder that is no model": (["--model", "."], "model_index.json"),
    "bytes that are no text": (["--negative", "\udcff"], "negative_prompt '\\udcff' holds bytes"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(case: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.png").write_text("I am no picture.")
    Path("folder.png").mkdir()
    options, said = WRONG[case]
    assert said in refused([*words, *options], capsys)
    assert sorted(file.name for file in Path.cwd().iterdir()) == ["folder.png", "text.png"]


def test_a_prompt_is_asked_for_by_a_model_that_reads_one(
    model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "draws from text: give a prompt" in refused(["generate", "--model", str(model_folder)], capsys)


@pytest.mark.parametrize("command", [[], ["genrate", "a"], ["generate", "a", "--seed"]])
def test_half_a_command(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--help" in refused(command, capsys)


def test_a_full_disk(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert "'picture-1.png' cannot be written: No space left on device" in refused(words, capsys)
    assert list(Path.cwd().iterdir()) == []


def test_a_link_stays_one(words: list[str]) -> None:
    Path("link.png").symlink_to("target.png")
    assert main([*words, "--out", "link.png"]) == 0
    assert Path("link.png").is_symlink()
    assert Image.open("target.png").size == (64, 64)
