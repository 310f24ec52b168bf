"""Every kind of model learns by what it is shown, goes on exactly, and its folder draws what it draws."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import safelight
from safelight.images import Picture, to_tensor
from tests.data.shapes import SIDE
from tests.training.diffusion.tiny_kinds import RECIPES, SELF, kind_task, network, write_runs
from tests.training.overfitting import losses_of_one_batch
from tests.training.tiny_tasks import loop_config, run, stored

LEARNT_WITH = ("class", "layout", "semantic", "inpainting", "upscaling")  # those that differ most; the rest are slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(
    "kind", [kind if kind in LEARNT_WITH else pytest.param(kind, marks=pytest.mark.slow) for kind in RECIPES]
)
def test_it_overfits_one_batch_and_its_folder_draws(kind: str, runs: Path, tmp_path: Path) -> None:
    task = kind_task(kind, runs, tmp_path)
    before = {name: value.detach().clone() for name, value in task.network.named_parameters()}
    losses = losses_of_one_batch(task, range(4), steps=40, rate=1e-2)
    assert losses[-1] < 0.7 * losses[0]
    conditioner = [name for name in before if name.split(".")[0] in ("class_embedder", "rescaler", "text_encoder")]
    assert bool(conditioner) == (kind in ("class", "layout", "semantic"))
    after = dict(task.network.named_parameters())
    still = [name for name in conditioner if torch.equal(before[name], after[name]) and "logits" not in name]
    assert not still
    task.export(tmp_path)
    request = {**task.shown.request(task.seen.views[0]), "seed": 1, "num_inference_steps": 1}
    again = safelight.load(tmp_path / "model", device="cpu")(**request).images[0]
    assert again.size == (SIDE, SIDE)
    assert nearly_the_same(again, task.pipeline()(**request).images[0])


@pytest.mark.parametrize("kind", ["inpainting", "class"])
def test_it_resumes_exactly(kind: str, runs: Path, tmp_path: Path) -> None:
    config = loop_config(steps=6, batch_size=4, save_every=2, precision="bf16")
    run(kind_task(kind, runs, tmp_path / "whole"), config, tmp_path / "whole")
    for stop in (2, 3, 6):
        run(kind_task(kind, runs, tmp_path / "parts"), config, tmp_path / "parts", stop)
    whole, parts = stored(tmp_path / "whole"), stored(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert (tmp_path / "whole/log.jsonl").read_bytes() == (tmp_path / "parts/log.jsonl").read_bytes()


def test_classes_may_have_a_table_of_the_unets_own(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "class", network(SELF, classes=4))
    task = kind_task("class", runs, tmp_path, space="pixels", sample_size=SIDE)
    assert (tmp_path / "classes.txt").read_text("utf-8").split() == ["bar", "circle", "cross", "square"]
    losses = losses_of_one_batch(task, range(2), steps=12, rate=1e-2)
    assert losses[-1] < losses[0]
    task.export(tmp_path)
    drawn = safelight.load(tmp_path / "model", device="cpu")(class_label=2, seed=1, num_inference_steps=1)
    expected = task.pipeline()(class_label=2, seed=1, num_inference_steps=1)
    assert nearly_the_same(drawn.images[0], expected.images[0])


@pytest.mark.parametrize("kind", ["text", "unconditional", "class", "layout"])
def test_on_pixels_there_is_no_autoencoder(kind: str, runs: Path, tmp_path: Path) -> None:
    task = kind_task(kind, runs, tmp_path, space="pixels", sample_size=SIDE)
    assert [stack.dtype for stack in task.seen.stacks] == [torch.uint8]
    losses = losses_of_one_batch(task, range(2), steps=12, rate=1e-2)
    assert losses[-1] < losses[0]
    task.export(tmp_path)
    assert not {"vae", "vqvae"} & {path.name for path in (tmp_path / "model").iterdir()}
    request = {**task.shown.request(task.seen.views[0]), "seed": 1, "num_inference_steps": 1}
    again = safelight.load(tmp_path / "model", device="cpu")(**request).images[0]
    assert again.size == (SIDE, SIDE)
    assert nearly_the_same(again, task.pipeline()(**request).images[0])


def nearly_the_same(one: Picture, other: Picture) -> bool:
    """But for the last bit: copies of one set of weights may lie otherwise in memory, and sums take another order."""
    return one.size == other.size and float((to_tensor(one) - to_tensor(other)).abs().max()) <= 2.01 / 255
