"""What holds for each way to fine-tune: it learns, starts from what it should, and says no early."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch.utils.data import default_collate

from safelight.data.collection import Record
from safelight.errors import BadInput
from safelight.training.engine.lock import Claim
from safelight.training.engine.noise import SampleNoise
from safelight.training.running import run_stage
from safelight.training.stages import Inputs
from safelight.unet import UNet
from safelight.weights import Parts, open_folder, save_folder
from tests.training.finetuning.small_runs import KINDS, few, recipe_of, task_in, task_of, weights
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import parts

every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_it_overfits_one_batch(kind: str, model_folder: Path, tmp_path: Path) -> None:
    *_, rate, left = KINDS[kind]
    losses = losses_of_one_batch(task_in(kind, model_folder, tmp_path), range(2), steps=20, rate=rate)
    assert losses[-1] < left * losses[0]


@pytest.mark.parametrize("kind", ["lora", "lora of all", "controlnet", "prior"])
def test_the_first_step_is_the_plain_models(kind: str, model_folder: Path, tmp_path: Path) -> None:
    task = task_in(kind, model_folder, tmp_path)
    reads = "with text" if kind == "lora of all" else "finetune"  # anew each time, or kept in bfloat16
    plain = task_in(reads, model_folder, tmp_path / "plain")
    own = getattr(task, "own", task)
    batch = default_collate([own.sample(index, Random(index)) for index in range(2)])
    with torch.no_grad():
        found = own.loss(batch, SampleNoise(0, range(2)))["loss"]
        expected = plain.loss(batch, SampleNoise(0, range(2)))["loss"]
    assert torch.equal(found, expected)


def test_names_of_parameters_are_stable(model_folder: Path, tmp_path: Path) -> None:
    names = {
        kind: next(iter(dict(task_in(kind, model_folder, tmp_path / kind).network.named_parameters())))
        for kind in KINDS
    }
    assert names["with text"].startswith("unet.")
    assert names["lora"] == "unet/down/0/blocks/0/attention/blocks/0/self_attention/query.down"
    assert names["word"] == "vectors"


def test_a_run_goes_on_from_the_model_that_it_began_with(model_folder: Path, tmp_path: Path) -> None:
    task_of("lora", model_folder, tmp_path / "run")
    save_folder(tmp_path / "other", parts())
    with pytest.raises(BadInput, match=r"started from the model 'tiny' .* not from 'other'"):
        task_of("lora", tmp_path / "other", tmp_path / "run")
    task_of("lora", model_folder, tmp_path / "run")


@pytest.mark.parametrize("stage", ["finetune", "lora", "controlnet"])
def test_pictures_without_captions_need_one(stage: str, model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"4 of 4 samples have no caption"):
        task_of(stage, model_folder, tmp_path / "run", data={"caption": ""})
    assert not (tmp_path / "run").exists()


def test_of_few_pictures_none_is_held_out(model_folder: Path, tmp_path: Path) -> None:
    held_out = next(name for name in map(str, range(1000)) if Record(name, (), {}, bytes).split == "val")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / f"{held_out}.png").write_bytes(few()[0].read())
    run = tmp_path / "run"
    inputs = Inputs(out=run, claim=Claim(run), data=tmp_path / "data", model=str(model_folder))
    recipe = recipe_of("lora", adapter={"rank": 4}, loop={"steps": 1, "batch_size": 1})
    assert [progress.step for progress in run_stage("lora", inputs, recipe)] == [1]
    told = (run / "lora" / "README.md").read_text()
    assert "| training pictures | 1 |" in told
    assert "| held-out pictures | 0 |" in told


@pytest.mark.parametrize(
    ("stage", "tables"), [("embedding", {}), ("controlnet", {}), ("lora", {"prior": {"prompt": "x"}})]
)
def test_what_needs_a_model_that_draws_from_text_refuses_others(
    stage: str, tables: dict[str, Any], tmp_path: Path
) -> None:
    save_folder(tmp_path / "model", unconditional())
    with pytest.raises(
        BadInput, match=r"The model 'model' draws from unconditional; .* needs one that draws from text"
    ):
        task_of(stage, tmp_path / "model", tmp_path / "run", **tables)


@pytest.mark.parametrize(("stage", "tables"), [("finetune", {}), ("lora", {"adapter": {"layers": ("convs",)}})])
def test_a_model_without_text_learns_on(stage: str, tables: dict[str, Any], tmp_path: Path) -> None:
    save_folder(tmp_path / "model", unconditional())
    task = task_of(stage, tmp_path / "model", tmp_path / "run", data={"caption": ""}, **tables)
    losses = losses_of_one_batch(task, range(2), steps=20, rate=1e-2)
    assert losses[-1] < 0.7 * losses[0]


def unconditional() -> Parts:
    """A model that draws from nothing."""
    made = parts()
    made.unet = UNet(replace(made.unet.config, attention=("none", "self"), middle_attention="self"))
    made.tokenizer = made.text_encoder = None
    return made


def test_v_prediction_is_learnt_as_epsilon_is(tmp_path: Path) -> None:
    save_folder(tmp_path / "model", parts("v"))
    assert open_folder(tmp_path / "model").schedule.prediction == "v"
    losses = losses_of_one_batch(
        task_of("finetune", tmp_path / "model", tmp_path / "run"), range(2), steps=20, rate=1e-2
    )
    assert losses[-1] < 0.5 * losses[0]
    assert weights(task_of("lora", tmp_path / "model", tmp_path / "lora").network)
