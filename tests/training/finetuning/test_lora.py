"""What a LoRA leaves: files that our own pipeline and diffusers draw the same picture with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import numpy
import pytest
import torch

import safelight
from safelight.adapters import open_lora
from safelight.errors import BadInput
from safelight.pipeline import Pipeline
from tests.training.finetuning.small_runs import TEXT, few, same, task_of, weights
from tests.training.tiny_tasks import loop_config, run
from tests.weights.references import noise, relative_error

EVERYTHING = ("transformer", "convs", "text_encoder")
LEARNT = {"steps": 12, "learning_rate": 3e-2, "average_decay": 0.2, "batch_size": 2}


def learnt(model: Path, folder: Path, **lora: Any) -> Any:
    """A task whose LoRA has learnt enough to be seen."""
    task = task_of("lora", model, folder, adapter={"rank": 4, **lora})
    run(task, loop_config(**LEARNT), folder)
    return task


@pytest.fixture(scope="module", params=["diffusers", "kohya"])
def trained(request: pytest.FixtureRequest, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("lora")
    return learnt(model_folder, folder, layers=EVERYTHING, form=request.param, alpha=2.0), folder


def test_the_saved_file_draws_what_the_trained_model_draws(trained: Any, model_folder: Path) -> None:
    task, folder = trained
    plain, adapted = safelight.load(model_folder, device="cpu"), safelight.load(model_folder, device="cpu")
    adapted.add_lora(folder / "lora")
    options: dict[str, Any] = {"seed": 3, "num_inference_steps": 3}
    with torch.no_grad():
        live = Pipeline(task.learner.parts)(TEXT, **options).images[0]
    found, before = (numpy.asarray(each(TEXT, **options).images[0], dtype=int) for each in (adapted, plain))
    assert numpy.abs(found - numpy.asarray(live, dtype=int)).max() <= 1
    assert numpy.abs(found - before).max() > 10


def test_diffusers_loads_it_and_predicts_the_same(trained: Any, model_folder: Path) -> None:
    task, folder = trained
    (file,) = (folder / "lora").glob("*.safetensors")
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(model_folder)
    latent, timestep = noise(1, 4, 8, 8), 500
    ids = task.learner.parts.tokenizer([TEXT]).ids
    with torch.no_grad():
        plain = theirs.unet(latent, timestep, theirs.text_encoder(ids)[0]).sample
        theirs.load_lora_weights(file.parent, weight_name=file.name)
        hidden = theirs.text_encoder(ids)[0]
        found = theirs.unet(latent, timestep, hidden).sample
        read = task.learner.read([TEXT])
        expected = task.learner.parts.unet(latent, timestep, read)
    assert relative_error(hidden, read) <= 1e-4
    assert relative_error(found, expected) <= 1e-4
    assert relative_error(plain, expected) > 1e-2


def test_the_header_says_what_it_is_and_where_it_comes_from(trained: Any, model_folder: Path) -> None:
    task, folder = trained
    said = open_lora(folder / "lora", task.learner.parts.unet.config).metadata
    fingerprint = safelight.load(model_folder, device="cpu")(TEXT, seed=0, num_inference_steps=1).recipes[0].fingerprint
    assert said["ss_sd_model_name"] == "tiny"
    assert said["safelight.model"] == fingerprint
    assert (said["ss_network_dim"], said["ss_network_alpha"], said["ss_num_train_images"]) == ("4", "2.0", "4")
    assert said["safelight.data"] == task.fingerprint
    assert json.loads(said["safelight.lora"])["layers"] == list(EVERYTHING)


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        (("attention",), {"query", "key", "value", "out"}),
        (("transformer",), {"query", "key", "value", "out", "up", "down", "project_in", "project_out"}),
        (("convs",), {"conv1", "conv2", "shortcut", "conv"}),
        (("text_encoder",), {"query", "key", "value", "out", "up", "down"}),
    ],
)
def test_the_layers_are_those_asked_for(
    layers: tuple[str, ...], named: set[str], model_folder: Path, tmp_path: Path
) -> None:
    task = task_of("lora", model_folder, tmp_path, adapter={"layers": layers})
    assert {name.rpartition(".")[2] for _, name in task.learner.layers} == named
    assert {part for part, _ in task.learner.layers} == ({"text_encoder"} if layers == ("text_encoder",) else {"unet"})
    lora = task.learner.lora()
    assert all(update.rank == 16 and not update.up.any() for part in lora.updates.values() for update in part.values())


def test_first_matrices_are_as_wide_as_they_should_be_and_follow_the_seed(model_folder: Path, tmp_path: Path) -> None:
    one, other = (task_of("lora", model_folder, tmp_path / name) for name in ("one", "other"))
    assert same(weights(one.network), weights(other.network))
    down = torch.cat([pair.down.flatten() for pair in one.learner.pairs.values()])
    assert abs(float(down.detach().std()) * 16 - 1) < 0.02


def test_a_frozen_base_in_bfloat16_stays_so_and_what_learns_does_not(model_folder: Path, tmp_path: Path) -> None:
    task = task_of("lora", model_folder, tmp_path, adapter={"frozen": "bf16"}, data={"prompts": (TEXT,)})
    run(task, loop_config(steps=2, batch_size=2, evaluate_every=1), tmp_path)  # draws a sheet
    made = task.learner.parts
    assert {parameter.dtype for network in (made.unet, made.text_encoder) for parameter in network.parameters()} == {
        torch.bfloat16
    }
    assert {parameter.dtype for parameter in task.network.parameters()} == {torch.float32}
    assert len(list((tmp_path / "sheets").glob("*.png"))) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, r"adapter.rank is 0; it must be at least 1"),
        ({"layers": ()}, r"adapter.layers is empty"),
        ({"alpha": -1.0}, r"adapter.alpha is -1.0; it must be at least 0"),
    ],
)
def test_settings_that_make_no_lora_are_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        task_of("lora", "nowhere", tmp_path / "run", few(), adapter=settings)
    assert not (tmp_path / "run").exists()
