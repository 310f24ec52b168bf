"""A UNet follows the sketch: heads look at their own squares, and at the noisiest levels the sketch is the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

from safelight.data.record import Record
from safelight.data.styles import styles_of
from safelight.errors import BadInput
from safelight.training.diffusion.learner import UNetAndText
from safelight.training.diffusion.objective import Question
from safelight.training.diffusion.settings import DiffusionDataConfig, FollowingConfig, ObjectiveConfig
from safelight.training.diffusion.shown import ShownText
from safelight.training.diffusion.task import DiffusionTask, task_of_model
from safelight.training.engine.noise import SampleNoise
from safelight.training.sketch import following
from safelight.training.sketch.aiming import own_states
from safelight.training.sketch.following import FollowingTask, task_that_follows
from safelight.training.sketch.imagined import Imagined
from safelight.unet.transformer import TransformerBlock
from tests.data.shapes import records
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import check_resumes, loop_config, parts, run

CELLS = 2  # four of the twelve places
WORDINGS = {"drawing": ("a drawing of {caption}",), "print": ("a print of {caption}",)}


def follows(folder: Path, heads: int = 0, share: float = 0.5, **data: Any) -> FollowingTask:
    settings = FollowingConfig(cells=CELLS, heads=heads, share=share)
    seen = DiffusionDataConfig(**{"colours": ("white", "blue"), "caption_dropout": 0.0, **data})
    make = task_that_follows(settings)
    task = task_of_model(parts(), ObjectiveConfig(), seen, records("none"), folder, make=make)
    assert isinstance(task, FollowingTask)
    return task


def attention_to_own(task: FollowingTask) -> list[Tensor]:
    """For each cross-attention behind the middle, each head's mean attention to the own square: (heads,)."""
    unet, shares = task.learner.parts.unet, []

    def look(block: TransformerBlock, given: tuple[Tensor, Tensor], _: object) -> None:
        x, context = given
        attention = block.cross_attention
        x = block.norm2(x + block.self_attention(block.norm1(x), block.norm1(x)))
        q, k = (
            projected.unflatten(2, (attention.heads, -1)).transpose(1, 2)
            for projected in (attention.query(x), attention.key(context))
        )
        weights = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(3)
        own = own_states(x.shape[1], task.seen[0].shape[1:], CELLS, context.shape[1])
        shares.append(weights[:, :, torch.arange(len(own)), own].mean((0, 2)))

    handles = [b.register_forward_hook(look) for b in unet.up.modules() if isinstance(b, TransformerBlock)]
    batch = torch.stack([task.seen[row] for row in range(8)])
    states = task.sketcher.states([task.seen.views[row].captions[0] for row in range(8)])
    with torch.no_grad():
        unet(batch + torch.randn(batch.shape, generator=torch.Generator().manual_seed(0)), 500, states)
    for handle in handles:
        handle.remove()
    return shares


def test_the_own_state_of_each_position() -> None:
    """Of 16 positions over a latent of 8 x 8 in four squares, and the last four of ten states speak of those."""
    expected = [[6, 6, 7, 7], [6, 6, 7, 7], [8, 8, 9, 9], [8, 8, 9, 9]]
    assert own_states(16, (8, 8), 2, 10).view(4, 4).tolist() == expected
    assert own_states(8, (4, 8), 2, 10).view(2, 4).tolist() == [[6, 6, 7, 7], [8, 8, 9, 9]]


def test_so_many_heads_are_turned_to_their_own_squares_and_add_nothing_at_first(tmp_path: Path) -> None:
    before, after = follows(tmp_path / "before"), follows(tmp_path / "after", heads=1)
    for old, new in zip(attention_to_own(before), attention_to_own(after), strict=True):
        turned = new > 2 * old.max()
        assert turned.sum() == 1
        assert torch.allclose(old[~turned], new[~turned], atol=0.05)
    for block in after.learner.parts.unet.up.modules():
        if isinstance(block, TransformerBlock):
            maps = block.cross_attention.out.weight.unflatten(1, (block.cross_attention.heads, -1))
            assert (maps == 0).all(2).all(0).sum() == 1


def test_where_a_run_is_resumed_no_head_is_turned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(follows(tmp_path, heads=1), loop_config(steps=2), tmp_path)
    monkeypatch.setattr(following, "aim", lambda *given: pytest.fail("turned again"))
    follows(tmp_path, heads=1)


def test_a_sketch_stands_for_the_picture_at_the_noisiest_levels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = follows(tmp_path)
    asked: list[tuple[Tensor, Tensor]] = []

    def errors(batch: dict[str, Any], question: Question) -> Tensor:
        asked.append((batch["latent"], question.timestep))
        return torch.zeros(len(question.timestep))

    monkeypatch.setattr(task, "_errors", errors)
    pictures = torch.stack([task.seen[0]] * 64)
    sketched = torch.arange(64) % 2 == 0
    captions = ["a red circle"] * 64
    task.loss({"latent": pictures, "caption": captions, "sketched": sketched}, SampleNoise(0, range(64)))
    ((latent, timestep),) = asked
    expected = task.sketcher.of_states(task.learner.read(["a red circle"]))[0]
    assert torch.equal(latent[~sketched], pictures[~sketched])
    assert all(torch.allclose(one, expected, atol=1e-5) for one in latent[sketched])
    assert timestep[sketched].min() >= 850
    assert timestep[sketched].max() > 950
    assert timestep[~sketched].min() < 850


def test_it_learns_to_foresee_the_sketch(tmp_path: Path) -> None:
    task = follows(tmp_path, heads=1, share=1.0)
    with torch.no_grad():
        before = task.evaluate()
    losses = losses_of_one_batch(task, range(4), steps=150, rate=1e-2)
    assert losses[-1] < losses[0] / 2
    with torch.no_grad():
        assert task.evaluate()["loss_sketch"] < before["loss_sketch"] / 2


def test_so_many_samples_are_sketches_and_half_of_them_of_what_nobody_drew(tmp_path: Path) -> None:
    task = follows(tmp_path, share=0.5, scene_share=0.01)
    random = Random(0)
    known = {caption for view in task.seen.views for caption in view.captions}
    samples = [task.sample(random.randrange(task.size), random) for _ in range(400)]
    sketched = [sample["caption"] for sample in samples if sample["sketched"]]
    assert 150 < len(sketched) < 250
    assert 30 < sum(caption not in known for caption in sketched) < 90  # where a colour is named already, it stays
    assert {sample["caption"] for sample in samples if not sample["sketched"]} & known


def test_what_is_imagined_is_scenes_styles_and_colours() -> None:
    found = [replace(record, fields={**record.fields, "style": "drawing"}) for record in records("none")]
    other = Record("x", ("a big star",), {"concept": "star", "style": "print"}, found[0].read)
    imagined = Imagined([*found, other], styles_of([*found, other], WORDINGS))
    random = Random(0)
    captions = [imagined.caption(random) for _ in range(400)]
    assert any(caption.startswith("a print of a") and " bar" in caption for caption in captions)
    assert any("three " in caption for caption in captions)
    assert any("to the left of" in caption for caption in captions)
    assert any(caption.endswith(" big star") and caption != "a big star" for caption in captions)
    assert not any("purple red" in caption or "blue red" in caption for caption in captions)


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path) -> None:
    check_resumes(lambda folder: follows(folder, heads=1), loop_config(steps=6, workers=2), tmp_path, stop=3)


def test_without_anything_asked_for_it_is_the_usual_task() -> None:
    assert task_that_follows(FollowingConfig()) is DiffusionTask


def test_what_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    given = ObjectiveConfig(), DiffusionDataConfig(), records("none"), tmp_path, FollowingConfig(share=0.5)
    with pytest.raises(BadInput, match=r"model\.text_encoder is true"):
        FollowingTask(UNetAndText(parts()), ShownText(given[1]), *given)
    with pytest.raises(BadInput, match=r"data\.shapes is 'buckets'"):
        follows(tmp_path, shapes="buckets")
    with pytest.raises(BadInput, match=r"following\.share is 2"):
        FollowingConfig(share=2)
