"""The UNet's training: levels, weights, captions, and that what was trained is what the pipeline draws with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from safelight.data.collection import Record
from safelight.errors import BadCheckpoint, BadInput
from safelight.text.prompt import encode_prompts
from safelight.training.diffusion.new_model import new_parts
from safelight.training.diffusion.settings import DiffusionDataConfig, LearningConfig, ObjectiveConfig
from safelight.training.diffusion.task import DiffusionTask, task_of_model
from safelight.training.engine.noise import SampleNoise
from safelight.training.recipe import DiffusionRecipe
from safelight.weights import open_folder
from tests.data.shapes import SIDE, records
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import (
    UNET,
    autoencoder_task,
    clip_task,
    diffusion_task,
    loop_config,
    parts,
    run,
    stored,
)


def task_of(tmp_path: Path, prediction: str) -> DiffusionTask:
    return task_of_model(parts(prediction), ObjectiveConfig(), DiffusionDataConfig(), records(), tmp_path)


def test_the_loss_of_a_network_that_knows_the_noise_is_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(tmp_path, "epsilon")
    latent = torch.stack([task.seen[row] for row in range(4)])

    def solved(noisy: torch.Tensor, timestep: torch.Tensor, *shown: Any) -> torch.Tensor:
        alpha_bar = task.objective.schedule.alpha_bar[timestep][:, None, None, None]
        return (noisy - alpha_bar.sqrt() * latent.float()) / (1 - alpha_bar).sqrt()

    monkeypatch.setattr(task.network, "forward", solved)
    batch = {"latent": latent, "caption": ["", "a red circle", "x", ""]}
    assert float(task.loss(batch, SampleNoise(0, range(len(batch["latent"]))))["loss"]) < 1e-6


def test_it_overfits_one_batch(tmp_path: Path) -> None:
    losses = losses_of_one_batch(diffusion_task(tmp_path), range(4), steps=150, rate=1e-2)
    assert losses[-1] < losses[0] / 5


def test_the_text_encoder_learns_beside_a_new_unet_if_asked(tmp_path: Path) -> None:
    made = parts()
    before = {name: tensor.clone() for name, tensor in made.text_encoder.state_dict().items()}
    settings = ObjectiveConfig(), DiffusionDataConfig(), records(), tmp_path
    task = task_of_model(made, *settings, LearningConfig(text_encoder=True))
    losses_of_one_batch(task, range(4), steps=3, rate=1e-2)
    after = made.text_encoder.state_dict()
    assert not torch.equal(after["token_embedding.weight"], before["token_embedding.weight"])
    assert set(task.network) == {"unet", "text_encoder"}
    assert not {"text_encoder"} & {name.split(".")[0] for name, _ in task_of(tmp_path, "v").network.named_parameters()}


def test_the_unet_reads_what_it_will_read_when_it_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(tmp_path, "v")
    read: list[torch.Tensor] = []
    monkeypatch.setattr(task.network, "forward", lambda noisy, timestep, context, *rest: read.append(context) or noisy)
    captions = ["", "a red circle"]
    task.loss({"latent": torch.stack([task.seen[0], task.seen[1]]), "caption": captions}, SampleNoise(0, range(2)))
    expected = encode_prompts(captions, task.learner.parts.tokenizer, task.learner.parts.text_encoder).detach()
    torch.testing.assert_close(read[0], expected, rtol=1e-2, atol=1e-2)  # kept in bfloat16


def test_captions_follow_backgrounds_and_are_dropped_as_often_as_asked(tmp_path: Path) -> None:
    task = diffusion_task(tmp_path, caption_dropout=0.3, white_share=0.4)
    drawn = [task.sample(0, Random(seed)) for seed in range(400)]
    captions = [sample["caption"] for sample in drawn]
    assert set(captions) == {"", "a red circle", "a red circle on a blue background"}
    assert 0.22 < captions.count("") / 400 < 0.38
    assert 0.2 < captions.count("a red circle on a blue background") / 400 / 0.7 < 0.4  # (1 - 0.4) / 2
    by_caption = {caption: {s["latent"].sum().item() for s in drawn if s["caption"] == caption} for caption in captions}
    assert [len(by_caption[caption]) for caption in ("a red circle", "a red circle on a blue background", "")] == [
        1,
        1,
        2,
    ]


def test_only_the_unet_changes_and_the_figures_are_on_fixed_noise(tmp_path: Path) -> None:
    task = diffusion_task(tmp_path)
    frozen = [*task.learner.parts.text_encoder.parameters(), *task.learner.parts.autoencoder.parameters()]
    before = [parameter.detach().clone() for parameter in frozen]
    with torch.no_grad():
        figures = task.evaluate()
        torch.manual_seed(99)
        assert figures == task.evaluate()
    quarters = {name: value for name, value in figures.items() if "quarter" in name}
    assert set(figures) - set(quarters) == {"loss_seen", "loss_unseen"}
    assert min(quarters.values()) <= figures["loss_unseen"] <= max(quarters.values())
    after = run(task, loop_config(steps=40, batch_size=8, learning_rate=5e-3, average_decay=0.8), tmp_path)[-1].figures
    assert after["loss_seen"] < 0.8 * figures["loss_seen"]
    assert all(map(torch.equal, before, frozen))
    assert all(parameter.grad is None for parameter in frozen)


def test_what_was_trained_is_what_the_folder_holds(tmp_path: Path) -> None:
    task = diffusion_task(tmp_path, prompts=("a red circle", "a blue bar"))
    run(task, loop_config(steps=2), tmp_path)
    with torch.no_grad():
        sheet = task.sheet()
    assert sheet is not None
    assert sheet.size == (2 * SIDE, 2 * SIDE)  # what is drawn, and below it the nearest training pictures
    loaded = open_folder(tmp_path / "model")
    averages = {name.removeprefix("average/"): value for name, value in stored(tmp_path).items() if "average/" in name}
    assert all(torch.equal(value, averages[name]) for name, value in loaded.unet.named_parameters())
    assert loaded.schedule == task.learner.parts.schedule


def test_nothing_need_be_held_out(tmp_path: Path) -> None:
    task = diffusion_task(tmp_path, [record for record in records() if record.split == "train"])
    with torch.no_grad():
        assert set(task.evaluate()) == {"loss_seen"}
        assert task.sheet() is None


def test_every_sample_needs_a_caption(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the first is 'silent'"):
        diffusion_task(tmp_path, [Record("silent", (), {"split": "train"}, bytes)])
    assert list(tmp_path.iterdir()) == []


def test_unfinished_stages_are_named_with_the_command_that_finishes_them(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    recipe = DiffusionRecipe(network=UNET, schedule=parts().schedule)
    with pytest.raises(BadInput, match=r"no finished run of `safelight train autoencoder`"):
        new_parts(recipe, first, second)
    autoencoder_task(tmp_path).export(first)
    with pytest.raises(BadInput, match=r"second' is no finished run of `safelight train clip`.*--out .*second"):
        new_parts(recipe, first, second)
    clip_task(tmp_path).export(second)
    made = new_parts(recipe, first, second)
    assert not made.text_encoder.training
    assert made.autoencoder.config.scale != 0.18215
    other = replace(recipe, network=replace(UNET, context_width=32))
    with pytest.raises(BadCheckpoint, match="the text encoder is 16 wide, the UNet reads vectors 32 wide"):
        new_parts(other, first, second)
