"""A UNet follows the sketch: heads look at their own squares, and at the noisiest levels the sketch is the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import default_collate

from safelight.configs import ScheduleConfig
from safelight.data.record import Record
from safelight.data.styles import Styles, styles_of
from safelight.errors import BadInput
from safelight.layers.attention import Attention
from safelight.training.diffusion import new_model
from safelight.training.diffusion.objective import Question
from safelight.training.diffusion.settings import DiffusionDataConfig, LearningConfig, ObjectiveConfig
from safelight.training.diffusion.task import DiffusionTask, task_of_model
from safelight.training.engine.lock import Claim
from safelight.training.engine.noise import SampleNoise
from safelight.training.recipe import DiffusionRecipe, Recipe, SketchRecipe
from safelight.training.sketch import following
from safelight.training.sketch.aiming import own_states
from safelight.training.sketch.following import FollowingTask, check_followed, task_that_follows
from safelight.training.sketch.imagined import Imagined
from safelight.training.sketch.settings import FollowingConfig, SketchConfig
from safelight.training.stages import STAGES, Inputs
from safelight.unet.transformer import TransformerBlock
from safelight.weights import save_folder
from tests.data.shapes import records
from tests.training.finetuning.small_runs import task_of
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import check_resumes, loop_config, parts, run

CELLS = 2  # four of the twelve places
PLAIN = ObjectiveConfig(snr_limit=0)
WORDINGS = {"drawing": ("a drawing of {caption}",), "print": ("a print of {caption}",)}


def follows(
    folder: Path, heads: int = 0, share: float = 0.5, found: list[Record] | None = None, **data: Any
) -> FollowingTask:
    settings = FollowingConfig(cells=CELLS, heads=heads, share=share)
    seen = DiffusionDataConfig(**{"colours": ("white", "blue"), "caption_dropout": 0.0, **data})
    make = task_that_follows(settings)
    task = task_of_model(parts(), PLAIN, seen, found or records("none"), folder, make=make)
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
        own = own_states(x.shape[1], CELLS, context.shape[1])
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
    """Of 16 positions in four squares, of which the last four of ten states speak; of nine, the middle row is above."""
    expected = [[6, 6, 7, 7], [6, 6, 7, 7], [8, 8, 9, 9], [8, 8, 9, 9]]
    assert own_states(16, 2, 10).view(4, 4).tolist() == expected
    assert own_states(9, 2, 10).view(3, 3).tolist() == [[6, 6, 7], [6, 6, 7], [8, 8, 9]]


def cross_attentions(task: FollowingTask) -> list[Attention]:
    return [
        module.cross_attention
        for module in task.learner.parts.unet.up.modules()
        if isinstance(module, TransformerBlock)
    ]


def test_so_many_heads_are_turned_to_their_own_squares_and_add_nothing_at_first(tmp_path: Path) -> None:
    before, after = follows(tmp_path / "before"), follows(tmp_path / "after", heads=1, share=0)
    for old, new in zip(attention_to_own(before), attention_to_own(after), strict=True):
        turned = new > 2 * old.max()
        assert turned.sum() == 1
        assert torch.allclose(old[~turned], new[~turned], atol=0.05)
    for attention in cross_attentions(after):
        maps = attention.out.weight.unflatten(1, (attention.heads, -1))
        assert (maps == 0).all(2).all(0).sum() == 1


@pytest.mark.parametrize("least", [0, 1])
def test_the_head_that_adds_least_is_turned_and_reads_what_the_squares_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    made = follows(tmp_path / "before")
    width = 8
    rows, others = slice(least * width, (least + 1) * width), slice((1 - least) * width, (2 - least) * width)
    with torch.no_grad():
        for attention in cross_attentions(made):
            attention.out.weight[:, rows] *= 0.1
    values = [attention.value.weight.clone() for attention in cross_attentions(made)]
    monkeypatch.setattr(made, "following", FollowingConfig(cells=CELLS, heads=1))
    made._aim()
    contents = made.sketcher.head.weight.detach()
    for attention, before in zip(cross_attentions(made), values, strict=True):
        assert not attention.out.weight[:, rows].any()
        assert attention.out.weight[:, others].any()
        assert torch.equal(attention.value.weight[others], before[others])
        read = attention.value.weight[rows].detach()  # the eight directions in which squares differ most
        captured = torch.linalg.lstsq(read.T, contents.T).solution.T @ read
        spectrum = torch.linalg.svdvals(contents).square()
        assert float((contents - captured).square().sum()) == pytest.approx(float(spectrum[width:].sum()), rel=1e-3)


def test_heads_that_cannot_be_turned_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"following\.heads is 2; it must be below 2"):
        follows(tmp_path, heads=2)
    task = follows(tmp_path)
    task.sketcher.cells = 20
    task.following = FollowingConfig(cells=20, heads=1)
    with pytest.raises(BadInput, match=r"as many positions as the sketch has squares, 400; it must be 0"):
        task._aim()


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


def test_so_many_samples_are_sketches_and_half_of_them_of_what_nobody_drew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = follows(tmp_path, share=0.5, scene_share=0.01)
    monkeypatch.setattr(task.imagined, "caption", lambda random: "imagined")
    random = Random(0)
    samples = [task.sample(random.randrange(task.size), random) for _ in range(400)]
    sketched = [sample["caption"] for sample in samples if sample["sketched"]]
    assert 150 < len(sketched) < 250
    assert 0.4 * len(sketched) < sum(caption == "imagined" for caption in sketched) < 0.6 * len(sketched)
    assert "imagined" not in {sample["caption"] for sample in samples if not sample["sketched"]}


def test_a_sample_without_a_caption_is_never_a_sketch(tmp_path: Path) -> None:
    task = follows(tmp_path, share=1.0, caption_dropout=0.5)
    random = Random(0)
    samples = [task.sample(random.randrange(task.size), random) for _ in range(40)]
    assert all(sample["sketched"] == bool(sample["caption"]) for sample in samples)
    assert 10 < sum(sample["sketched"] for sample in samples) < 30


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
    assert not any("star and a big star" in caption or "star above a big star" in caption for caption in captions)


def test_things_of_which_none_is_usual_are_imagined_in_the_style_they_have() -> None:
    """The first style has wordings and no cut-outs; the last has no wordings."""
    found = [replace(record, fields={**record.fields, "style": "print"}) for record in records("none")]
    styles = Styles({"drawing": (), "print": WORDINGS["print"]}, {str(r.fields["concept"]): "drawing" for r in found})
    random = Random(0)
    assert all(Imagined(found, styles).caption(random) for _ in range(100))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(precision: Any, tmp_path: Path) -> None:
    config = loop_config(steps=6, workers=2, precision=precision, evaluate_every=1)
    check_resumes(lambda folder: follows(folder, heads=1), config, tmp_path, stop=3)


def test_without_anything_asked_for_it_is_the_usual_task() -> None:
    assert task_that_follows(FollowingConfig()) is DiffusionTask


ASKED = FollowingConfig(share=0.5, cells=CELLS)
REFUSED: dict[str, tuple[Any, ...]] = {
    r"drawn? from text alone.* following\.share = 0 and following\.heads = 0": (
        PLAIN,
        {},
        {},
        {"tokenizer": None, "text_encoder": None},
    ),
    r"model\.text_encoder is true": (PLAIN, {}, {"text_encoder": True}, {}),
    r"data\.shapes is 'buckets'": (PLAIN, {"shapes": "buckets"}, {}, {}),
    r"prediction 'epsilon'.* hardly counts": (PLAIN, {}, {}, {"schedule": ScheduleConfig(prediction="epsilon")}),
    r"objective\.weighting 'min_snr'.* hardly counts.*snr_limit = 0": (ObjectiveConfig(), {}, {}, {}),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_followed_is_refused(sentence: str) -> None:
    objective, data, model, changed = REFUSED[sentence]
    given = objective, DiffusionDataConfig(**data), LearningConfig(**model)
    made = replace(parts(), **changed)
    with pytest.raises(BadInput, match=sentence):
        check_followed(ASKED, made, *given)
    check_followed(FollowingConfig(), made, *given)
    check_followed(ASKED, parts(), PLAIN, DiffusionDataConfig(), LearningConfig())


def test_settings_out_of_bounds_are_refused() -> None:
    with pytest.raises(BadInput, match=r"following\.share is 2"):
        FollowingConfig(share=2)
    with pytest.raises(BadInput, match=r"following\.cells is 2; it must be 8"):
        Recipe(
            sketch=SketchRecipe(sketch=SketchConfig(included=True, size=512)),
            diffusion=DiffusionRecipe(following=ASKED),
        )


def test_too_few_captions_are_refused_and_a_text_encoder_without_a_sketch_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = follows(tmp_path)
    monkeypatch.setattr(following, "LARGEST_MISS", 0.0)
    task._find_sketches()
    assert "`safelight train sketch` teaches it" in caplog.text
    one = [replace(record, captions=("a shape",)) for record in records("none")]
    with pytest.raises(BadInput, match=r"have 1 captions, too few .* following needs 9\."):
        follows(tmp_path / "one", found=one, colours=("white",))


def test_the_stage_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_model, "new_parts", lambda *given: parts())
    recipe = DiffusionRecipe(following=ASKED, objective=PLAIN)
    with Claim(tmp_path) as claim:
        inputs = Inputs(out=tmp_path, claim=claim)
        assert isinstance(STAGES["diffusion"].task(inputs, recipe, records("none")), FollowingTask)
        with pytest.raises(BadInput, match="hardly counts"):
            STAGES["diffusion"].task(inputs, replace(recipe, objective=ObjectiveConfig()), records("none"))


def test_a_model_that_exists_follows_beside_pictures_of_its_own(tmp_path: Path) -> None:
    save_folder(tmp_path / "model", parts())
    tables = {
        "following": vars(ASKED),
        "data": {"caption": ""},
        "prior": {"prompt": "a red bar", "count": 2, "steps": 2},
    }
    given = "finetune", tmp_path / "model", tmp_path / "run", records("none")
    with pytest.raises(BadInput, match="hardly counts"):
        task_of(*given, **tables)
    task = task_of(*given, **tables, objective=vars(PLAIN))
    assert isinstance(task.own, FollowingTask)
    batch = default_collate([task.sample(index, Random(index)) for index in range(4)])
    assert task.loss(batch, SampleNoise(0, range(4)))["loss"].isfinite()
    with torch.no_grad():
        assert "loss_sketch" in task.evaluate()
