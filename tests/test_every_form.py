"""Every kind of model in every form: opened through `safelight.load`, recognised, and the picture of its source."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy
import pytest
import torch
from forms.files import FILES, MODEL, averaged, lightning, raw, tensors_of
from forms.folders import FOLDERS, rewritten
from forms.plain import KINDS, PREDICTIONS, networks, plain, rounded
from PIL import Image
from safetensors.torch import load_file, save_file
from tasks.family import FAMILY
from tasks.test_tasks import FEW, half, inputs  # noqa: F401  (fixtures)
from weights.references import settled

import safelight
from safelight.apps.cli import main
from safelight.errors import BadCheckpoint
from safelight.pipeline import Pipeline
from safelight.recipe import read_recipe
from safelight.weights import Parts, save_folder
from safelight.weights.single_file import save_single_file

Inputs = dict[str, dict[str, Any]]
ENLARGING = ("upscaling", "restoration")
READS = ("text", "bert", "inpainting", "depth", "instruction", "upscaling", "variation")
# The field of a call -> the flag, and the file that the fixture below writes.
FLAGS = {"image": "--image", "mask_image": "--mask", "depth_map": "--depth", "semantic_map": "--map"}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that goes with the test: a matrix of models is large."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@cache
def folder_of(kind: str) -> TemporaryDirectory[str]:
    """The folder of a kind, written once."""
    kept = TemporaryDirectory()
    save_folder(Path(kept.name) / "model", FAMILY[kind]())
    return kept


@cache
def tensors_in_file(kind: str) -> dict[str, torch.Tensor]:
    return tensors_of(plain(kind))


@cache
def source_of(kind: str, make: Callable[[str], Parts], in_half: bool) -> Pipeline:
    """What a form is compared with: the model that was never in a file."""
    return Pipeline(rounded(make(kind)) if in_half else make(kind))


def family(kind: str) -> Parts:
    return FAMILY[kind]()


def drawn(pipe: Pipeline, kind: str, options: dict[str, Any]) -> numpy.ndarray:
    size = {} if kind in ENLARGING else {"width": 64, "height": 64}
    return numpy.asarray(pipe(**FEW, **{**options, **size}).images[0]).astype(int)


def opened(path: Path, kind: str, **options: Any) -> Pipeline:
    if path.is_file():
        options = {"prediction": PREDICTIONS.get(kind), **options}
    pipe = safelight.load(path, device="cpu", **options)
    for network in networks(pipe.parts()).values():
        settled(network)
    return pipe


@pytest.mark.parametrize("form", FOLDERS)
@pytest.mark.parametrize("kind", FAMILY)
def test_a_folder(kind: str, form: str, inputs: Inputs, place: Path) -> None:  # noqa: F811
    path = rewritten(Path(folder_of(kind).name) / "model", form, place / "model")
    assert not list(path.rglob("model.safetensors"))
    variant = "fp16" if form.startswith("fp16") else None
    expected = source_of(kind, family, variant is not None)
    found = opened(path, kind, variant=variant)
    assert found.task is expected.task
    assert (drawn(found, kind, inputs[kind]) == drawn(expected, kind, inputs[kind])).all()
    if variant is not None:
        with pytest.raises(BadCheckpoint, match="Another variant is there; pass variant= one of: fp16"):
            opened(path, kind)


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file(
    kind: str,
    form: str,
    inputs: Inputs,  # noqa: F811
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, write = FILES[form]
    write(tensors_in_file(kind), place / name)
    expected = source_of(kind, plain, "half" in form)
    difference = drawn(opened(place / name, kind), kind, inputs[kind]) - drawn(expected, kind, inputs[kind])
    # The scale of the latents is a number in the file: it is rounded to half precision as well.
    assert abs(difference).max() <= (1 if "half" in form else 0)

    assert main(["info", str(place / name), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {part["kind"] for part in facts["parts"]} == networks(expected.parts()).keys()
    assert facts["format"] == {"pickle": "PyTorch", "ckpt": "PyTorch", "old": "old PyTorch"}.get(
        form.replace(",", " ").split()[0], "safetensors"
    )
    assert facts["unknown"] == []
    assert not any(name.startswith("model_ema.diffusion_model") for name in facts["unused"])
    assert not any(part["fault"] for part in facts["parts"])
    assert [part["kind"] for part in facts["parts"] if part["averaged"]] == (["unet"] if "averaged" in form else [])


@pytest.mark.parametrize("kind", KINDS)
def test_the_raw_weights_of_a_training_file(kind: str, inputs: Inputs, place: Path) -> None:  # noqa: F811
    tensors = tensors_in_file(kind)
    torch.save(lightning(averaged(tensors)), place / "last.ckpt")
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(MODEL)}
    save_file(tensors | raw(own), place / "raw.safetensors")
    alone, asked, default = (
        drawn(opened(place / name, kind, **more), kind, inputs[kind])
        for name, more in (("raw.safetensors", {}), ("last.ckpt", {"weights": "raw"}), ("last.ckpt", {}))
    )
    assert (alone == asked).all()
    assert (alone != default).any()


@pytest.fixture
def words(inputs: Inputs, place: Path) -> Callable[..., list[str]]:  # noqa: F811
    """What shows a kind its inputs on the command line."""

    def words_for(kind: str, without: str = "") -> list[str]:
        said = [inputs[kind].get("prompt", "")] if kind in READS else []
        for name, value in inputs[kind].items():
            if name == without:
                continue
            if name in FLAGS:
                value.save(place / f"{name}.png")
                said += [FLAGS[name], str(place / f"{name}.png")]
            elif name == "class_label":
                said += ["--class", str(value)]
            elif name == "boxes":
                (place / "boxes.json").write_text(json.dumps([vars(box) for box in value]))
                said += ["--boxes", str(place / "boxes.json")]
        size = [] if kind in ENLARGING else ["--width", "64", "--height", "64"]
        few = ["--steps", "2", "--seed", "7", "--sampler", "ddim", "--grid", "leading", "--device", "cpu"]
        return [*said, *few, *size, "--out", str(place / "out.png")]

    return words_for


@pytest.mark.parametrize("kind", KINDS)
def test_on_the_command_line(
    kind: str,
    inputs: Inputs,  # noqa: F811
    words: Callable[..., list[str]],
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A training file becomes a folder, the folder a file, and that file draws and asks for what is missing."""
    prediction = ["--prediction", "v"] if kind in PREDICTIONS else []
    torch.save(lightning(averaged(tensors_in_file(kind))), place / "last.ckpt")
    assert main(["convert", str(place / "last.ckpt"), str(place / "model"), *prediction]) == 0
    assert main(["convert", str(place / "model"), str(place / "model.safetensors")]) == 0
    capsys.readouterr()
    assert main(["info", str(place / "model"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    source = source_of(kind, plain, False)
    assert networks(source.parts()).keys() <= facts.keys()
    assert facts["schedule"]["prediction"] == PREDICTIONS.get(kind, "epsilon")

    command = ["generate", "--model", str(place / "last.ckpt"), "--raw", *prediction]
    assert main([*command, *words(kind)]) == 0
    with Image.open(place / "out.png") as picture:
        raw_picture = numpy.asarray(picture).astype(int)
        said = {"prediction": "v"} if prediction else {}
        assert read_recipe(picture, "out.png").opened == {"weights": "raw", **said}
    command = ["generate", "--model", str(place / "model.safetensors")]
    assert main([*command, *words(kind)]) == 0
    with Image.open(place / "out.png") as picture:
        assert (numpy.asarray(picture) == drawn(source, kind, inputs[kind])).all()
        assert (numpy.asarray(picture) != raw_picture).any()

    for name in source.task.needs:
        asked = {"class_label": "--class", "boxes": "--boxes", **FLAGS}[name]
        missing = words(kind, without=name)
        if name == "image" and "mask_image" in inputs[kind]:
            missing = [word for word in missing if word != "--mask" and not word.endswith("mask_image.png")]
        capsys.readouterr()
        assert main([*command, *missing]) == 2
        assert asked in capsys.readouterr().err


def test_without_a_prompt_a_model_that_reads_text_asks_for_one(
    words: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in READS:
        model = str(Path(folder_of(kind).name) / "model")
        assert main(["generate", "--model", model, *words(kind)[1:]]) == 2
        assert 'give a prompt ("" for none)' in capsys.readouterr().err


def test_what_no_shape_tells_is_asked_for(place: Path) -> None:
    """Our notes hold a small vocabulary; without them the file cannot be read, and says so."""
    save_single_file(place / "noted.safetensors", FAMILY["text"]())
    save_file(load_file(place / "noted.safetensors"), place / "bare.safetensors")
    opened(place / "noted.safetensors", "text")
    with pytest.raises(BadCheckpoint, match=r"bare.safetensors.* tokens, which is not CLIP's vocabulary of 49408"):
        opened(place / "bare.safetensors", "text")
