"""ControlNets: hints, and that our pipeline and diffusers are steered as the network that was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

import safelight
from safelight.adapters import open_controlnet
from safelight.adapters.control_edges import edges
from safelight.data.collection import BadSample, Record
from safelight.errors import BadInput
from safelight.training.diffusion.shown import Nothing
from safelight.training.diffusion.views import View
from safelight.training.engine.noise import SampleNoise
from safelight.training.finetuning.control import controlnet_for
from safelight.training.finetuning.hints import ShownHint
from safelight.training.finetuning.settings import SteeringConfig
from tests.data.shapes import draw, png, records
from tests.training.finetuning.small_runs import few, same, task_of, weights
from tests.training.tiny_tasks import loop_config, run
from tests.weights.references import noise, relative_error


@pytest.fixture(scope="module")
def trained(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("control")
    task = task_of("controlnet", model_folder, folder, data={"drawn": 2})
    run(task, loop_config(steps=6, learning_rate=1e-2, batch_size=2, average_decay=0.2), folder)
    return task, folder


def test_diffusers_is_steered_the_same(trained: Any, model_folder: Path) -> None:
    task, folder = trained
    theirs = diffusers.ControlNetModel.from_pretrained(folder / "controlnet")
    unet = diffusers.UNet2DConditionModel.from_pretrained(model_folder / "unet")
    latent, context, hint = noise(1, 4, 8, 8), noise(1, 77, 32, seed=1), noise(1, 3, 64, 64, seed=2).sigmoid()
    with torch.no_grad():
        skips, middle = theirs(latent, 500, context, hint, return_dict=False)
        found = unet(
            latent, 500, context, down_block_additional_residuals=skips, mid_block_additional_residual=middle
        ).sample
        plain = unet(latent, 500, context).sample
        expected = task.learner.parts.unet(latent, 500, context, None, task.network(latent, 500, context, hint))
    assert relative_error(found, expected) <= 1e-4
    assert relative_error(plain, expected) > 1e-3


def test_our_pipeline_opens_it_and_draws_with_it(trained: Any, model_folder: Path) -> None:
    task, folder = trained
    opened = open_controlnet(folder / "controlnet")
    assert same(weights(opened), {name: value.contiguous() for name, value in weights(task.network).items()})
    pipe = safelight.load(model_folder, device="cpu")
    options: dict[str, Any] = {"seed": 0, "num_inference_steps": 2}
    plain = pipe("a red apple", **options).images[0]
    pipe.add_controlnet(folder / "controlnet")
    hint = edges(draw("red", "circle").convert("RGB").resize((64, 64)))
    steered = pipe("a red apple", control_image=hint, **options).images[0]
    assert steered.tobytes() != plain.tobytes()


def test_the_sheet_is_drawn_with_the_network_as_it_is(trained: Any, model_folder: Path) -> None:
    task, folder = trained
    with torch.no_grad():
        assert task.sheet().size == (2 * 64, 2 * 64)  # two pictures above the two that they are of
        drawn = [picture.tobytes() for picture in task._drawings.pictures()]
        plain = task_of("controlnet", model_folder, folder / "plain", data={"drawn": 1})
        assert drawn[0] != plain._drawings.pictures()[0].tobytes()
    assert {parameter.dtype for parameter in task.network.parameters()} == {torch.float32}


def test_the_hint_is_read_in_training(trained: Any) -> None:
    task, _ = trained
    batch = default_collate([task.sample(index, Random(0)) for index in range(2)])
    with torch.no_grad():
        losses = [
            float(task.loss({**batch, "hint": hint}, SampleNoise(0, range(2)))["loss"])
            for hint in (batch["hint"], batch["hint"], 1 - batch["hint"])
        ]
    assert losses[0] == losses[1] != losses[2]


def test_it_starts_with_the_unets_way_down(model_folder: Path, tmp_path: Path) -> None:
    task = task_of("controlnet", model_folder, tmp_path)
    unet, own = task.learner.parts.unet.state_dict(), weights(task.network)
    copied = {name for name in own if name in unet}
    assert {name.split(".")[0] for name in own.keys() - copied} == {"hint", "zero_convs", "zero_middle"}
    assert all(torch.equal(own[name], unet[name]) for name in copied)
    assert not any(value.any() for name, value in own.items() if name.startswith("zero"))


def test_companions_are_hints_in_their_own_colours() -> None:
    green = Image.new("RGB", (32, 32), (0, 255, 0))
    record = Record("fox", ("a fox",), {}, records()[0].read, {"control": lambda: png(green)})
    shown = ShownHint(Nothing(), "control")
    hint = shown.fixed_entries(View(record, "white", (16, 16)))["hint"]
    assert hint.shape == (3, 16, 16)
    assert torch.equal(hint, torch.tensor([0.0, 1.0, 0.0])[:, None, None].expand(3, 16, 16))


def test_pictures_without_the_companion_are_named(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"4 of 4 samples have no depth picture, the first is 'red-circle'.*depth\.png"):
        task_of("controlnet", model_folder, tmp_path / "run", few(), control={"hint": "depth"})
    assert not (tmp_path / "run").exists()


def test_a_hint_of_another_kind_is_refused() -> None:
    with pytest.raises(BadInput, match=r"control.hint 'edge' is unknown. Did you mean 'edges'\?"):
        SteeringConfig(hint="edge")


@pytest.mark.parametrize(("factor", "widths"), [(1, (16,)), (2, (16, 32)), (4, (16, 32, 96)), (8, (16, 32, 96, 256))])
def test_the_hint_encoder_shrinks_as_the_autoencoder_does(
    factor: int, widths: tuple[int, ...], pipe: safelight.Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pipe.parts()
    monkeypatch.setattr(type(made.autoencoder.config), "factor", factor)
    assert controlnet_for(made).config.hint_widths == widths


def test_a_companion_that_cannot_be_read_costs_its_sample_alone(
    model_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hint = png(Image.new("RGB", (32, 32)))
    found = [replace(record, others={"control": lambda: hint}) for record in few()]
    spoilt = [replace(found[0], others={"control": lambda: b"nothing"}), *found[1:]]
    figures = []
    for number, given in enumerate((found[1:], spoilt)):
        task = task_of("controlnet", model_folder, tmp_path / str(number), given, control={"hint": "control"})
        with torch.no_grad():
            figures.append(task.evaluate())
            assert task.sheet() is not None
    assert [sorted(one) for one in figures] == [["loss_seen"]] * 2
    assert "'red-circle' cannot be read" in caplog.text
    nothing = [replace(record, others=spoilt[0].others) for record in found]
    task = task_of("controlnet", model_folder, tmp_path / "none", nothing, control={"hint": "control"})
    with pytest.raises(BadSample, match="Of 4 pictures that figures are to be of, none can be shown"):
        task.evaluate()
