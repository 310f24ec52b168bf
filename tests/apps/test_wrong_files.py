"""What a new user gets wrong about files: one sentence each, exit code 2, and nothing is left behind."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tasks.family import FAMILY

from safelight.apps.cli import main
from safelight.weights import save_folder
from safelight.weights.single_file import save_single_file


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_folder: Path) -> None:
    """A folder as a user has it: a model in two forms, and what came of downloads."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model_folder, "folder")
    save_single_file("model.safetensors", FAMILY["text"]())
    Path("page.safetensors").write_text("<!DOCTYPE html><html><body>Please log in</body></html>")
    Path("pointer.ckpt").write_text("version https://git-lfs.github.com/spec/v1\nsize 4265380512\n")
    Path("nothing.ckpt").touch()
    Path("cut.safetensors").write_bytes(Path("model.safetensors").read_bytes()[:-1])
    Path("empty").mkdir()
    Path("checkpoints").mkdir()
    shutil.copy("model.safetensors", "checkpoints/fox.safetensors")
    torch.save({"a": torch.zeros(2)}, "checkpoints/other.ckpt")
    save_file({"lora_unet_nowhere.lora_up.weight": torch.zeros(2, 2)}, "ink.safetensors")


WRONG: dict[str, tuple[list[str], str]] = {
    "no such file": (["generate", "a", "--model", "v1-6.ckpt"], "model 'v1-6.ckpt' is no folder and no file here"),
    "nor in that folder": (["generate", "a", "--model", "models/v1-6.ckpt"], "'models/v1-6.ckpt' is no folder and no"),
    "a web page": (["info", "page.safetensors"], "'page.safetensors' is no whole safetensors file: it is an HTML page"),
    "a pointer": (["info", "pointer.ckpt"], "'pointer.ckpt' is no whole file of weights: it is a Git LFS pointer"),
    "an empty file": (["info", "nothing.ckpt"], "'nothing.ckpt' is no whole file of weights: it is empty"),
    "a cut file": (["generate", "a", "--model", "cut.safetensors"], "it is cut short: the data of"),
    "a folder of files": (["info", "checkpoints"], "name it: fox.safetensors, other.ckpt."),
    "to convert": (["convert", "checkpoints", "x"], "name it: fox.safetensors, other.ckpt."),
    "an empty folder": (["convert", "empty", "x"], "'empty/model_index.json' is missing"),
    "a part": (["generate", "a", "--model", "folder/unet"], "'folder/unet' is a part, a UNet2DConditionModel"),
    "a pickle to write": (["convert", "folder", "x.ckpt"], "'x.ckpt' ends in .ckpt; one file is written as OUT"),
    "a part as a pickle": (["convert", "folder/unet", "x.bin"], "'x.bin' ends in .bin; one file is written as OUT"),
    "a variant of a file": (["generate", "a", "--model", "model.safetensors", "--variant", "fp16"], "is one file"),
    "a model as LoRA": (["generate", "a", "--model", "folder", "--lora", "model.safetensors"], "is no LoRA: it holds"),
    "no such LoRA": (["generate", "a", "--model", "folder", "--lora", "x.pt=1"], "'x.pt' cannot be read: there is no"),
    "a LoRA of another": (["generate", "a", "--model", "folder", "--lora", "ink.safetensors"], "lora_unet_nowhere"),
    "a LoRA as model": (["generate", "a", "--model", "ink.safetensors"], "is a LoRA, which is attached to a model"),
}  # fmt: skip


def refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a wrong command is answered with; nothing new may lie here afterwards."""
    before = sorted(str(file) for file in Path.cwd().rglob("*"))
    assert main(command) == 2
    assert sorted(str(file) for file in Path.cwd().rglob("*")) == before
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("safelight: ")
    assert said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize("case", WRONG)
def test_is_said_in_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    command, sentence = WRONG[case]
    assert sentence in refused(command, capsys)


def test_a_picture_for_a_controlnet_that_is_not_there(capsys: pytest.CaptureFixture[str], picture: Any) -> None:
    picture.save("edges.png")
    said = refused(["generate", "a", "--model", "folder", "--control-image", "edges.png"], capsys)
    assert "control_image gives 1 pictures; this model has 0 ControlNets" in said


def test_a_configuration_that_the_weights_deny(capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads(Path("folder/unet/config.json").read_text())
    Path("folder/unet/config.json").write_text(json.dumps({**config, "cross_attention_dim": 48}))
    assert "attn2.to_k.weight is 32x32, expected 32x48" in refused(["generate", "a", "--model", "folder"], capsys)


def test_a_unet_with_nine_channels_asks_for_what_they_hold(capsys: pytest.CaptureFixture[str]) -> None:
    save_folder("nine", FAMILY["inpainting"]())
    said = refused(["generate", "a", "--model", "folder", "--unet", "nine"], capsys)
    assert "give --image (a picture) and --mask (a mask" in said


def test_a_box_without_its_corners(capsys: pytest.CaptureFixture[str]) -> None:
    save_folder("layout", FAMILY["layout"]())
    Path("boxes.json").write_text('[{"label": "Dog", "left": 0}]')
    said = refused(["generate", "--model", "layout", "--boxes", "boxes.json"], capsys)
    assert "Box 1 of 'boxes.json' has label, left; needed: label, left, top, right, bottom." in said


@pytest.mark.parametrize(("source", "out"), [("folder", "full.safetensors"), ("model.safetensors", "full")])
def test_a_full_disk_is_named_by_the_file_that_was_asked_for(
    source: str, out: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("safelight.weights.files.save_file", full)
    said = refused(["convert", source, out], capsys)
    assert "cannot be written: No space left on device." in said
    assert "partial" not in said


def test_nothing_may_be_read(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)
    monkeypatch.setattr("builtins.open", closed)
    monkeypatch.setattr("io.open", closed)
    assert "'model.safetensors' cannot be read: Permission denied." in refused(["info", "model.safetensors"], capsys)
