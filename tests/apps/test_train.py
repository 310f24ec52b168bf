"""`safelight train` as a user meets it: three commands from a folder to a picture, and every way to be wrong."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import safelight
from safelight.apps.cli import main
from safelight.training import whole
from safelight.training.autoencoder.task import AutoencoderTask
from safelight.training.engine.checkpoint import checkpoints
from safelight.training.engine.lock import Claim
from safelight.training.examination import examine
from tests.data.shapes import records, write_folder, write_shard

torch.set_num_threads(1)
SHORT = {
    "autoencoder": ("network.channels=[16, 16, 16]", "loop.batch_size=2"),
    "clip": ("text.layers=1", "image.layers=1", "loop.batch_size=4"),
    "diffusion": (
        "network.channels=[16, 32, 32]",
        "network.heads=[1, 2, 2]",
        "loop.batch_size=2",
        'data.prompts=["a red bar"]',
    ),
}


def train(stage: str, *words: str, changes: Sequence[str] = (), steps: int = 2) -> int:
    settings = [*SHORT[stage], f"loop.steps={steps}", *changes]
    return main(["train", stage, *words, *[word for change in settings for word in ("--set", change)]])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data"), "none")


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three commands of the guide, each cut down to two steps."""
    home = tmp_path_factory.mktemp("runs")
    for stage in ("autoencoder", "clip"):
        assert train(stage, "--recipe", "tiny", "--data", str(data), "--out", str(home / stage)) == 0
    before = ("--autoencoder", str(home / "autoencoder"), "--clip", str(home / "clip"))
    words = ("--recipe", "tiny", "--data", str(data), "--out", str(home / "diffusion"), *before)
    assert train("diffusion", *words) == 0
    return home


def test_the_three_commands_make_a_model_that_draws(runs: Path) -> None:
    pipe = safelight.load(runs / "diffusion" / "model")
    picture = pipe("a red circle", num_inference_steps=2, seed=1).images[0]
    assert picture.size == (64, 64)
    assert picture.info


def test_each_run_leaves_what_the_guide_says(runs: Path) -> None:
    for stage, left in {"autoencoder": ["vae"], "clip": ["clip", "tokenizer"], "diffusion": ["model"]}.items():
        names = {path.name for path in (runs / stage).iterdir()}
        assert names >= {"recipe.toml", "checkpoints", "log", *left}
        assert not [name for name in names if "partial" in name]
    for stage in ("autoencoder", "diffusion"):
        assert [path.name for path in (runs / stage / "sheets").iterdir()] == ["step-00000002.png"]


def test_the_folder_of_a_run_opens_as_its_model(runs: Path) -> None:
    pictures = [
        safelight.load(model)("a blue bar", num_inference_steps=1, seed=3).images[0]
        for model in (runs / "diffusion", runs / "diffusion" / "model")
    ]
    assert pictures[0].tobytes() == pictures[1].tobytes()


def test_a_card_lies_beside_the_weights(runs: Path) -> None:
    for stage, left in {"autoencoder": "vae", "clip": "clip", "diffusion": "model"}.items():
        card = (runs / stage / left / "README.md").read_text("utf-8")
        assert f"safelight train {stage}" in card
        assert "| training/loss |" in card
        assert "steps = 2" in card


def test_a_run_goes_on_with_the_recipe_that_it_wrote(runs: Path, data: Path, tmp_path: Path, capsys: Any) -> None:
    recipe = runs / "autoencoder" / "recipe.toml"
    words = ["train", "autoencoder", "--recipe", str(recipe), "--data", str(data), "--out", str(tmp_path), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["left"] == str(tmp_path / "vae")
    assert main([*words, "--set", "loop.steps=3"]) == 0
    out = capsys.readouterr()
    assert "step 3 of 3" in out.err
    assert "step 1 of" not in out.err
    assert set(json.loads(out.out)["figures"]) >= {"loss", "psnr_illustration"}
    assert checkpoints(tmp_path / "checkpoints")[-1].stem == "step-00000003"


def test_the_printed_configuration_is_a_recipe(tmp_path: Path, capsys: Any) -> None:
    words = ["train", "clip", "--recipe", "tiny", "--set", "clip.loop.steps=77", "--print-config"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    (tmp_path / "mine.toml").write_text(printed)
    assert main(["train", "clip", "--recipe", str(tmp_path / "mine.toml"), "--print-config"]) == 0
    assert capsys.readouterr().out == printed
    assert "steps = 77" in printed


def test_all_stages_make_a_model_and_go_on_where_they_were_left(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(whole, "examine", partial(examine, seeds=1, steps=1))
    changes = [f"{stage}.{change}" for stage, settings in SHORT.items() for change in (*settings, "loop.steps=2")]
    words = ["train", "all", "--data", str(data), "--out", str(tmp_path)]
    words += [
        word
        for change in [
            *changes,
            "classifier.loop.steps=2",
            "classifier.loop.batch_size=4",
            "classifier.network.size=16",
        ]
        for word in ("--set", change)
    ]
    assert main(words) == 0
    capsys.readouterr()
    card = tmp_path / "model" / "README.md"
    card.unlink()
    assert main([*words, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["left"] == str(tmp_path / "model")
    assert "step 1 of 2" not in said.err
    assert card.exists()
    assert safelight.load(tmp_path)("a red circle", num_inference_steps=1).images[0].size == (64, 64)


def test_control_c_saves_the_step_that_was_under_way(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    loss, calls = AutoencoderTask.loss, []
    before = signal.getsignal(signal.SIGINT)

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(*arguments)

    monkeypatch.setattr(AutoencoderTask, "loss", interrupted)
    assert train("autoencoder", "--data", str(data), "--out", str(tmp_path), steps=9) == 130
    assert [path.stem for path in checkpoints(tmp_path / "checkpoints")] == ["step-00000003"]
    assert capsys.readouterr().err.endswith("interrupted; nothing is half-written.\n")
    assert not (tmp_path / "vae").exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_control_c_behind_the_last_step_is_heard(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export = AutoencoderTask.export

    def interrupted(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        export(*arguments)

    monkeypatch.setattr(AutoencoderTask, "export", interrupted)
    assert train("autoencoder", "--data", str(data), "--out", str(tmp_path)) == 130
    assert (tmp_path / "vae" / "config.json").is_file()


def test_sigterm_saves_too_and_leaves_with_its_own_code(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    loss, handler = AutoencoderTask.loss, []
    before = signal.getsignal(signal.SIGTERM)

    def terminated(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        handler.append((signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)))
        return loss(*arguments)

    monkeypatch.setattr(AutoencoderTask, "loss", terminated)
    with pytest.raises(SystemExit) as left:
        train("autoencoder", "--data", str(data), "--out", str(tmp_path), steps=9)
    assert left.value.code == 143
    assert handler == [(signal.SIG_DFL, signal.SIG_DFL)]  # once more, of either, and the process ends at once
    assert capsys.readouterr().err.endswith("terminated; step 1 is saved.\n")
    assert [path.stem for path in checkpoints(tmp_path / "checkpoints")] == ["step-00000001"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_trainer_is_refused_before_it_touches_the_folder(
    runs: Path, data: Path, tmp_path: Path, capsys: Any
) -> None:
    before = ("--autoencoder", str(runs / "autoencoder"), "--clip", str(runs / "clip"))
    for stage in ("autoencoder", "clip", "diffusion"):
        more = before if stage == "diffusion" else ()
        with Claim(tmp_path / stage) as claim:
            claim.take()
            message = refused(capsys, stage, "--data", str(data), "--out", str(tmp_path / stage), *more)
            assert f"is being trained by process {os.getpid()} on" in message
            assert [path.name for path in (tmp_path / stage).iterdir()] == ["trainer.lock"]


def test_another_seed_in_a_run_that_goes_on_is_refused_unless_allowed(runs: Path, data: Path, capsys: Any) -> None:
    recipe = (runs / "clip" / "recipe.toml").read_text()
    words = ("--data", str(data), "--out", str(runs / "clip"))
    message = refused(capsys, "clip", *words, changes=["loop.seed=9"])
    assert 'loop.seed is 9, not 0. Give what it began with, or another folder; loop.allow=["seed"]' in message
    assert (runs / "clip" / "recipe.toml").read_text() == recipe
    assert train("clip", *words, changes=["loop.seed=9", 'loop.allow=["seed"]']) == 0


def refused(capsys: Any, stage: str, *words: str, changes: Sequence[str] = ()) -> str:
    capsys.readouterr()
    assert train(stage, *words, changes=changes) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.startswith("safelight: ")
    assert out.err.count("\n") == 1
    return str(out.err)


def test_what_is_missing_is_named(data: Path, tmp_path: Path, capsys: Any) -> None:
    out = ("--out", str(tmp_path / "run"))
    assert "--data is missing" in refused(capsys, "clip", *out)
    assert "--out is missing" in refused(capsys, "clip", "--data", str(data))
    assert "--clip is missing" in refused(capsys, "diffusion", *out, "--data", str(data), "--autoencoder", "x")
    assert "does not exist" in refused(capsys, "clip", *out, "--data", str(tmp_path / "nowhere"))
    assert "holds no pictures" in refused(capsys, "clip", *out, "--data", str(tmp_path))
    assert "Did you mean 'tiny'?" in refused(capsys, "clip", *out, "--recipe", "tinny")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("stage", ["autoencoder", "clip"])
def test_bad_collections_are_named_and_nothing_is_begun(tmp_path: Path, capsys: Any, stage: str) -> None:
    picture = records()[0].read()
    only_held_out = write_shard(tmp_path / "a.tar", {"x.png": picture, "x.json": b'{"caption": "x", "split": "val"}'})
    out = tmp_path / "run"
    assert "None of the 1 samples is for training" in refused(
        capsys, stage, "--data", str(only_held_out), "--out", str(out)
    )
    silent = write_shard(tmp_path / "b.tar", {"x.png": picture, "x.json": b'{"split": "train"}'})
    if stage == "clip":
        message = refused(capsys, stage, "--data", str(silent), "--out", str(out))
        assert "1 of 1 samples have no caption, the first is 'x'" in message
    else:
        assert train(stage, "--data", str(silent), "--out", str(tmp_path / "silent")) == 0
    assert not out.exists() or not list(out.iterdir())


def test_a_damaged_picture_is_named(tmp_path: Path, capsys: Any) -> None:
    shard = write_shard(tmp_path / "a.tar", {"x.png": b"no picture", "x.json": b'{"caption": "x", "split": "train"}'})
    for stage in ("autoencoder", "clip"):
        message = refused(capsys, stage, "--data", str(shard), "--out", str(tmp_path / stage))
        assert "The picture of sample 'x' cannot be read" in message


def test_folders_that_cannot_be_written_are_named(data: Path, runs: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").touch()
    before = ("--autoencoder", str(runs / "autoencoder"), "--clip", str(runs / "clip"))
    for stage in ("autoencoder", "clip", "diffusion"):
        more = before if stage == "diffusion" else ()
        for out in (tmp_path / "file", tmp_path / "file" / "run"):
            assert "cannot be made a folder" in refused(capsys, stage, "--data", str(data), "--out", str(out), *more)


def test_stages_in_the_wrong_order_are_named(data: Path, runs: Path, tmp_path: Path, capsys: Any) -> None:
    words = ("--data", str(data), "--out", str(tmp_path / "run"))
    swapped = ("--autoencoder", str(runs / "clip"), "--clip", str(runs / "autoencoder"))
    assert "`safelight train autoencoder" in refused(capsys, "diffusion", *words, *swapped)
    missing = ("--autoencoder", str(runs / "autoencoder"), "--clip", str(tmp_path / "none"))
    assert "`safelight train clip" in refused(capsys, "diffusion", *words, *missing)
    narrow = ("--autoencoder", str(runs / "autoencoder"), "--clip", str(runs / "clip"))
    message = refused(capsys, "diffusion", *words, *narrow, changes=["network.context_width=64"])
    assert "the text encoder is 128 wide, the UNet reads vectors 64 wide" in message
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_network_is_refused_and_left_alone(data: Path, runs: Path, capsys: Any) -> None:
    recipe = runs / "autoencoder" / "recipe.toml"
    before = recipe.read_text()
    words = ("--data", str(data), "--out", str(runs / "autoencoder"))
    message = refused(capsys, "autoencoder", *words, changes=["network.channels=[16, 16, 32]"])
    assert "decoder.conv_in.weight is (16, 4, 3, 3), the recipe's is (32, 4, 3, 3)" in message
    assert recipe.read_text() == before


@pytest.mark.parametrize("field", ["distill.grid", "distill.distill.grid"])
def test_a_table_may_have_the_name_of_its_stage(field: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "distill", "--recipe", "fast", "--set", f"{field}=7", "--print-config"]) == 0
    assert "\ngrid = 7 " in capsys.readouterr().out
