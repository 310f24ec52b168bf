"""Prior preservation: pictures drawn once, before anything is learnt, and mixed into every batch."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

import safelight
from safelight.data.record import Record
from safelight.pipeline import Pipeline
from safelight.placement import channels_last
from safelight.training.diffusion.settings import ObjectiveConfig
from safelight.training.engine.noise import SampleNoise
from safelight.training.engine.order import order_of
from safelight.training.finetuning import prior as module
from safelight.training.finetuning.prior import PriorTask, prior_records
from safelight.training.finetuning.settings import PriorConfig
from safelight.training.finetuning.start import open_start
from safelight.training.finetuning.tasks import beside_prior
from tests.data.shapes import records
from tests.training.finetuning.small_runs import task_of
from tests.training.tiny_tasks import PlainTask, diffusion_task, loop_config
from tests.weights.references import settled

PRIOR = {"prompt": "a table", "count": 3, "steps": 2, "seed": 7}


def drawn(model: Path, folder: Path, **changes: Any) -> list[Any]:
    return prior_records(open_start(str(model), "cpu"), PriorConfig(**{**PRIOR, **changes}), folder, "cpu")


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "prior").glob("*.png")}


def test_they_are_what_the_model_draws_by_itself(model_folder: Path, tmp_path: Path) -> None:
    found = drawn(model_folder, tmp_path)
    pipe = safelight.load(model_folder, device="cpu")
    for network in (pipe.unet, pipe.text_encoder, pipe.autoencoder):
        channels_last(settled(network))  # as what is to learn lies in memory: other layouts round otherwise
    expected = [pipe("a table", seed=seed, num_inference_steps=2).images[0] for seed in (7, 8, 9)]
    assert [record.captions for record in found] == [("a table",)] * 3
    assert {record.split for record in found} == {"train"}
    for record, picture in zip(found, expected, strict=True):
        assert record.picture().convert("RGB").tobytes() == picture.tobytes()


def test_they_are_drawn_once_and_only_those_that_are_missing(model_folder: Path, tmp_path: Path) -> None:
    drawn(model_folder, tmp_path)
    first = times(tmp_path)
    (tmp_path / "prior" / "seed-8.png").unlink()
    drawn(model_folder, tmp_path, count=4)
    second = times(tmp_path)
    assert sorted(second) == ["seed-10.png", "seed-7.png", "seed-8.png", "seed-9.png"]
    assert {name for name in first if first[name] == second[name]} == {"seed-7.png", "seed-9.png"}


def test_those_of_another_prompt_are_drawn_anew(model_folder: Path, tmp_path: Path) -> None:
    one = [record.read() for record in drawn(model_folder, tmp_path)]
    other = drawn(model_folder, tmp_path, prompt="a cat", count=2)
    assert len(times(tmp_path)) == 2
    assert not {record.read() for record in other} & set(one)
    assert {record.key for record in other} == {"a cat/7", "a cat/8"}


def test_a_run_that_is_killed_while_it_draws_goes_on(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Pipeline):
        def __call__(self, *arguments: Any, seed: int, **options: Any) -> Any:
            if seed == 9:
                raise KeyboardInterrupt
            return super().__call__(*arguments, seed=seed, **options)

    monkeypatch.setattr(module, "Pipeline", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        drawn(model_folder, tmp_path)
    monkeypatch.undo()
    before = times(tmp_path)
    assert len(before) == 2
    assert len(drawn(model_folder, tmp_path)) == 3
    assert before.items() < times(tmp_path).items()


def test_every_sample_brings_one_of_the_class_along_and_the_same_each_time(model_folder: Path, tmp_path: Path) -> None:
    task = task_of("lora", model_folder, tmp_path, prior=PRIOR, data={"caption": "a sks table", "caption_dropout": 0.0})
    one, other = (default_collate([task.sample(index, Random(index)) for index in range(4)]) for _ in range(2))
    assert one["own"]["caption"] == ["a sks table"] * 4
    assert one["prior"]["caption"] == ["a table"] * 4
    assert one["own"]["latent"].shape == one["prior"]["latent"].shape
    for name in ("own", "prior"):
        assert torch.equal(one[name]["latent"], other[name]["latent"])
    assert len({float(latent.sum()) for latent in one["prior"]["latent"]}) > 1
    assert task.size == 4


def test_own_pictures_of_several_shapes_come_in_batches_of_one_shape(model_folder: Path, tmp_path: Path) -> None:
    shapes = [(48, 24), (24, 48), (48, 24), (24, 48)]
    buckets = {"shapes": "buckets", "bucket_step": 16, "caption": "a sks table"}
    task = task_of("lora", model_folder, tmp_path, few_of(shapes), prior=PRIOR, data=buckets)
    order = order_of(task, loop_config(batch_size=2))
    for batch in range(4):
        found = default_collate([task.sample(order[2 * batch + place], Random(place)) for place in range(2)])
        assert found["own"]["latent"].shape[2] != found["own"]["latent"].shape[3]
    assert len(set(task.buckets)) == 2


def test_what_was_drawn_is_in_no_scene(tmp_path: Path) -> None:
    own = diffusion_task(tmp_path, scene_share=0.5)
    task = beside_prior(own, PriorConfig(**PRIOR), ObjectiveConfig(), records("white"), tmp_path)
    assert isinstance(task, PriorTask)
    assert own.collection.scenes is not None
    assert task.prior.collection.scenes is None


def few_of(sizes: list[tuple[int, int]]) -> list[Record]:
    """A picture of each size, without a caption."""
    found = []
    for number, size in enumerate(sizes):
        file = BytesIO()
        Image.new("RGB", size, "red").save(file, "PNG")
        found.append(Record(f"n{number}", (), {}, file.getvalue))
    return found


def test_their_errors_count_as_much_as_asked() -> None:
    task = PriorTask(PlainTask(size=4), PlainTask(size=3), weight=0.25)
    batch = default_collate([task.sample(index, Random(index)) for index in range(4)])
    losses = task.loss(batch, SampleNoise(0, range(4)))
    torch.testing.assert_close(losses["loss"], losses["loss_own"] + 0.25 * losses["loss_prior"])
    assert not torch.equal(losses["loss_own"], losses["loss_prior"])


def test_a_run_with_and_one_without_them_are_different_data(model_folder: Path, tmp_path: Path) -> None:
    one = task_of("finetune", model_folder, tmp_path / "one", prior=PRIOR)
    other = task_of("finetune", model_folder, tmp_path / "other")
    assert one.fingerprint != other.fingerprint
    with torch.no_grad():
        assert set(one.evaluate()) == {"loss_seen", "prior_loss_seen"}
