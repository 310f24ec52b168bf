"""The autoencoder learns: KL and VQ, alone and against a discriminator, at every factor, and resumed exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from safelight.configs import AutoencoderConfig
from safelight.errors import BadCheckpoint
from safelight.training.autoencoder.settings import AutoencoderLossConfig, DiscriminatorConfig
from safelight.training.autoencoder.task import AutoencoderTask
from safelight.training.engine.noise import SampleNoise
from safelight.weights import load_autoencoder
from tests.data.shapes import SIDE, records
from tests.training.engine.real_runs import differing, outcome
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import AUTOENCODER, loop_config, run, stored

AGAINST = DiscriminatorConfig(weight=0.5, width=8, levels=2)


def task(network: AutoencoderConfig = AUTOENCODER, **loss: Any) -> AutoencoderTask:
    torch.manual_seed(0)
    settings = AutoencoderLossConfig(**{"size": SIDE, "crop": SIDE // 2, **loss})
    return AutoencoderTask(network, settings, records("none"))


def lines(folder: Path) -> list[dict[str, Any]]:
    """The training figures of each step."""
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in found if "training/loss" in line]


@pytest.mark.parametrize("against", [DiscriminatorConfig(), AGAINST], ids=["alone", "against a discriminator"])
@pytest.mark.parametrize("codes", [0, 16], ids=["kl", "vq"])
def test_it_overfits_one_batch(codes: int, against: DiscriminatorConfig) -> None:
    made = task(replace(AUTOENCODER, codes=codes), discriminator=against)
    figures = []
    loss = made.loss
    made.loss = lambda batch, noise: figures.append(loss(batch, noise)) or figures[-1]
    losses_of_one_batch(made, range(4), steps=80, rate=1e-2)
    errors = [float(each["reconstruction"].detach()) for each in figures]
    assert min(errors[-5:]) < errors[0] / 5


def test_it_learns_structure() -> None:
    """Of nothing else, but for a trace of the pixels' error."""
    made = task(perceptual="ms_ssim", perceptual_weight=1.0, absolute_weight=1e-3, square_weight=0.0, edge_weight=0.0)
    losses = losses_of_one_batch(made, range(4), steps=40, rate=1e-2)
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("codes", [0, 16], ids=["kl", "vq"])
@pytest.mark.parametrize("levels", [2, 3, 4, 5])
def test_every_factor_learns_and_is_left_to_be_opened(levels: int, codes: int, tmp_path: Path) -> None:
    made = task(replace(AUTOENCODER, channels=(8,) * levels, codes=codes), discriminator=AGAINST)
    run(made, loop_config(steps=2), tmp_path)
    assert set(lines(tmp_path)[-1]) >= {"training/discriminator", "training/codebook" if codes else "training/kl"}
    loaded = load_autoencoder(tmp_path / "vae")
    assert loaded.config.factor == 2 ** (levels - 1)
    assert loaded.config.codes == codes
    learnt = dict(made.autoencoder.named_parameters())
    assert all(torch.equal(value, learnt[name]) for name, value in loaded.named_parameters())
    before = task(replace(AUTOENCODER, channels=(8,) * levels, codes=codes), discriminator=AGAINST).network
    still = [
        name
        for name, parameter in made.network.named_parameters()
        if torch.equal(parameter, dict(before.named_parameters())[name])
    ]
    assert not still


def learnt_against(of: AutoencoderTask) -> dict[str, torch.Tensor]:
    """The discriminator's weights."""
    assert of.comparison.discriminator is not None
    return dict(of.comparison.discriminator.named_parameters())


@pytest.mark.parametrize(("accumulate", "workers"), [(1, 0), (3, 2)])
def test_the_discriminator_begins_at_its_step(accumulate: int, workers: int, tmp_path: Path) -> None:
    changes = {"steps": 4, "batch_size": 2, "accumulate": accumulate, "workers": workers}
    alone, against = task(), task(discriminator=replace(AGAINST, start=2))
    at_first = {name: value.clone() for name, value in learnt_against(against).items()}
    run(against, loop_config(**{**changes, "steps": 2, "decay": "constant"}), tmp_path / "first")
    assert all(torch.equal(value, at_first[name]) for name, value in learnt_against(against).items())
    run(alone, loop_config(**{**changes, "steps": 2, "decay": "constant"}), tmp_path / "alone")
    ours, theirs = (lines(tmp_path / name) for name in ("first", "alone"))
    assert ours == theirs

    against = task(discriminator=replace(AGAINST, start=2))
    run(against, loop_config(**changes), tmp_path / "whole")
    assert ["training/discriminator" in line for line in lines(tmp_path / "whole")] == [False, False, True, True]
    assert not any(torch.equal(value, at_first[name]) for name, value in learnt_against(against).items())


@pytest.mark.parametrize("codes", [0, 16], ids=["kl", "vq"])
def test_it_resumes_exactly_against_a_discriminator(codes: int, tmp_path: Path) -> None:
    """Stopped before the discriminator begins, when it is about to, and after."""

    def made() -> AutoencoderTask:
        return task(replace(AUTOENCODER, codes=codes), discriminator=replace(AGAINST, start=3), perceptual="ms_ssim")

    config = loop_config(precision="bf16", save_every=2, batch_size=2, accumulate=2, evaluate_every=5)
    run(made(), config, tmp_path / "whole")
    for stop in (2, 3, 5):
        run(made(), config, tmp_path / "parts", stop=stop)
    run(made(), config, tmp_path / "parts")
    assert not differing(outcome(tmp_path / "whole"), outcome(tmp_path / "parts"))


def test_an_autoencoder_alone_keeps_the_names_of_its_weights(tmp_path: Path) -> None:
    alone = task()
    assert alone.network is alone.autoencoder
    against = task(discriminator=AGAINST)
    assert {name.split(".")[0] for name, _ in against.network.named_parameters()} == {"autoencoder", "discriminator"}
    for name, value in alone.network.named_parameters():
        assert torch.equal(value, dict(against.network.named_parameters())[f"autoencoder.{name}"])

    run(alone, loop_config(steps=1), tmp_path)
    assert {name.removeprefix("weights/") for name in stored(tmp_path) if name.startswith("weights/")} == {
        name for name, _ in alone.autoencoder.named_parameters()
    }
    with pytest.raises(BadCheckpoint, match="another network than the recipe's"):
        run(against, loop_config(), tmp_path)


def test_only_the_autoencoder_is_left(tmp_path: Path) -> None:
    made = task(discriminator=AGAINST)
    made.export(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
        "vae",
    ]
    loaded = load_autoencoder(tmp_path / "vae")
    assert {name for name, _ in loaded.named_parameters()} == {name for name, _ in made.autoencoder.named_parameters()}


def test_the_reconstruction_does_not_feel_a_discriminator_that_has_not_begun() -> None:
    batch = torch.randn(2, 3, SIDE // 2, SIDE // 2)
    made = task(discriminator=replace(AGAINST, start=5))
    before, after = (made.loss(batch, SampleNoise(0, [0, 1], step=step)) for step in (4, 5))
    assert set(after) - set(before) == {"adversarial", "discriminator", "adaptive_weight"}
    assert torch.equal(before["reconstruction"], after["reconstruction"])
    expected = (
        before["loss"] + AGAINST.weight * after["adaptive_weight"] * after["adversarial"] + after["discriminator"]
    )
    torch.testing.assert_close(after["loss"], expected)
