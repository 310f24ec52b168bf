"""A text encoder learns from itself what other words mean, and the model around it stays as it is."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

import safelight
from safelight.configs import BertConfig
from safelight.errors import BadInput
from safelight.text import BertEncoder, TextEncoder
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.engine.lock import Claim
from safelight.training.engine.noise import SampleNoise
from safelight.training.finetuning.start import Start
from safelight.training.recipe import RewordRecipe
from safelight.training.rewording.settings import RewordingConfig
from safelight.training.rewording.task import RewordTask
from safelight.training.running import left_by, run_stage
from safelight.training.stages import Inputs
from safelight.weights import save_folder
from tests.data.shapes import SIDE, records, write_folder
from tests.training.tiny_tasks import check_resumes, loop_config, parts

PHRASES = RewordingConfig(
    phrasebook={"{caption}": ("my {name}", "{caption} {word}"), "{caption} {background}": ("{caption}, {colour}",)},
    unseen=("{name} abroad",),
    words=("snow",),
)
DATA = DiffusionDataConfig(colours=("white", "blue"), caption_dropout=0.05, prompts=("my red bar", "a green cross"))


def reword_task(
    folder: Path | None = None, start: Start | None = None, teacher: Start | None = None, **settings: Any
) -> RewordTask:
    given = start or Start(parts=parts(), name="tiny", fingerprint="its")
    return RewordTask(given, replace(PHRASES, **settings), DATA, records(), teacher)


def another(change: float = 0.1) -> Start:
    """A model with another text encoder."""
    found = parts()
    with torch.no_grad():
        for parameter in found.reader[1].parameters():
            parameter += change
    return Start(parts=found, name="another", fingerprint="other")


def test_it_learns_to_read_what_is_said_as_what_is_meant() -> None:
    task = reword_task()
    before = task.evaluate()
    assert before["loss_own"] == 0
    assert before["loss_reworded"] > 0.2
    optimiser = torch.optim.Adam(task.network.parameters(), 2e-3)
    random = Random(0)
    for _ in range(200):
        found = [task.sample(0, random) for _ in range(16)]
        batch = {name: [one[name] for one in found] for name in found[0]}
        task.loss(batch, SampleNoise(0, range(16)))["loss"].backward()
        optimiser.step()
        optimiser.zero_grad()
    after = task.evaluate()
    assert after.keys() == {"loss_own", "loss_reworded", "loss_unseen"}
    assert after["loss_reworded"] < before["loss_reworded"] / 2
    assert after["loss_unseen"] < before["loss_unseen"]
    assert after["loss_own"] < before["loss_reworded"] / 2


def test_its_error_is_that_of_all_states_of_their_spread() -> None:
    task = reword_task()
    said, meant = ["my red bar", "a green cross"], ["a red bar", "a blue cross"]
    before = copy.deepcopy(task.encoder)
    with torch.no_grad():
        for parameter in task.encoder.parameters():
            parameter += 0.1
        loss = task.loss({"said": said, "meant": meant}, SampleNoise(0, range(2)))["loss"]
        read = [encoder(task.tokenizer(of).ids) for encoder, of in ((task.encoder, said), (before, meant))]
        own = before(task.tokenizer([pair.meant for pair in task.sets["loss_own"]]).ids)
    wanted = (read[0] - read[1]).square().mean() / own.var(0).mean()
    assert float(loss) == pytest.approx(float(wanted), rel=1e-4)


def test_the_teacher_does_not_learn() -> None:
    task = reword_task()
    before = copy.deepcopy(task.teacher.state_dict())
    task.loss(task_batch(task), SampleNoise(0, range(4)))["loss"].backward()
    assert all(parameter.grad is None for parameter in task.teacher.parameters())
    with torch.no_grad():
        for parameter in task.encoder.parameters():
            parameter += 1
    assert all(torch.equal(value, before[name]) for name, value in task.teacher.state_dict().items())


def test_another_model_can_be_the_teacher() -> None:
    task = reword_task(teacher=another())
    assert task.evaluate()["loss_own"] > 0.1
    assert task.fingerprint != reword_task().fingerprint
    task.encoder.load_state_dict(another().parts.reader[1].state_dict())
    assert task.evaluate()["loss_own"] == 0


def test_a_teacher_that_reads_otherwise_is_refused() -> None:
    tokens, states = another(), another()
    other = copy.copy(tokens.parts.reader[0])
    other.vocabulary = {**other.vocabulary, "more": 1}
    tokens.parts.tokenizer = other
    encoder = states.parts.reader[1]
    assert isinstance(encoder, TextEncoder)
    states.parts.text_encoder = TextEncoder(replace(encoder.config, width=2 * encoder.config.width))
    for teacher in (tokens, states):
        with pytest.raises(BadInput, match=r"rewording\.teacher is 'another', which does not read as 'tiny' does"):
            reword_task(teacher=teacher)


def test_other_names_have_a_figure_of_their_own() -> None:
    task = reword_task(names={"red bar": ("a stripe",)})
    assert {(pair.said, pair.meant) for pair in task.sets["loss_names"]} == {("a stripe", "a red bar")}
    assert task.evaluate()["loss_names"] > 0.1
    assert "loss_names" not in reword_task().sets


def test_three_steps_of_four_look_at_the_first_states_alone() -> None:
    task = reword_task(teacher=another(), first_states=3)
    batch = task_batch(task)
    losses = [task.loss(batch, SampleNoise(0, range(4), step=step))["loss"].item() for step in range(5)]
    assert losses[1] == losses[2] == losses[3] != losses[0] == losses[4]
    all_states = reword_task(teacher=another())
    assert all_states.loss(batch, SampleNoise(0, range(4), step=1))["loss"].item() == losses[0]
    ids = [task.tokenizer(batch[name]).ids[:, :3] for name in ("said", "meant")]
    with torch.no_grad():
        error = (task.encoder(ids[0]) - task.teacher(ids[1])).square().mean() / task.spread
    assert losses[1] == pytest.approx(float(error), rel=1e-4)


def task_batch(task: RewordTask) -> dict[str, list[str]]:
    found = [task.sample(0, Random(seed)) for seed in range(4)]
    return {name: [one[name] for one in found] for name in found[0]}


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path) -> None:
    check_resumes(reword_task, loop_config(steps=6, workers=2), tmp_path, stop=3)


def test_the_sheet_shows_what_the_model_draws_of_the_prompts() -> None:
    task = reword_task()
    sheet = task.sheet()
    assert sheet is not None
    assert sheet.size == (2 * SIDE, SIDE)
    with torch.no_grad():
        for parameter in task.encoder.parameters():
            parameter += 1
    assert sheet.tobytes() != task.sheet().tobytes()


def test_without_prompts_there_is_no_sheet() -> None:
    start = Start(parts=parts(), name="tiny", fingerprint="its")
    assert RewordTask(start, PHRASES, replace(DATA, prompts=()), records()).sheet() is None


def test_a_phrasebook_without_sentences_is_refused() -> None:
    for phrasebook in ({"{caption}": ()}, {"{painted}": ("{caption} in {colour}",)}):  # all shapes have a colour
        with pytest.raises(BadInput, match=r"rewording\.phrasebook has no sentence that suits the things of this data"):
            reword_task(phrasebook=phrasebook)


def test_a_collection_of_one_caption_is_refused() -> None:
    start = Start(parts=parts(), name="tiny", fingerprint="its")
    same = [replace(record, captions=("a shape",), fields={}) for record in records()]
    with pytest.raises(BadInput, match=r"All 1\d samples have one caption"):
        RewordTask(start, PHRASES, DiffusionDataConfig(caption_dropout=0.0), same)


def test_a_text_encoder_that_is_no_clip_is_refused() -> None:
    start = Start(parts=parts(), name="tiny", fingerprint="its")
    start.parts.text_encoder = BertEncoder(BertConfig(vocabulary=64, length=12, width=16, layers=1))
    with pytest.raises(BadInput, match="The model 'tiny' has no text encoder of CLIP, which learns other words"):
        reword_task(start=start)


def test_a_run_leaves_the_model_with_another_text_encoder(tmp_path: Path) -> None:
    save_folder(tmp_path / "model", parts())
    data, out = write_folder(tmp_path / "data"), tmp_path / "run"
    inputs = Inputs(out=out, claim=Claim(out), data=data, model=str(tmp_path / "model"))
    save_folder(tmp_path / "teacher", another().parts)
    phrases = replace(PHRASES, teacher=str(tmp_path / "teacher"))
    recipe = RewordRecipe(rewording=phrases, data=DATA, loop=loop_config(steps=3))
    for _ in run_stage("reword", inputs, recipe):
        pass
    with pytest.raises(BadInput, match="data"):
        run_stage("reword", inputs, replace(recipe, rewording=PHRASES))
    before, after = (safelight.load(folder).parts() for folder in (tmp_path / "model", left_by("reword", out)))
    for name, learnt in (("unet", False), ("autoencoder", False), ("text_encoder", True)):
        old, new = (list(getattr(whole, name).parameters()) for whole in (before, after))
        assert any(not torch.equal(a, b) for a, b in zip(old, new, strict=True)) == learnt
