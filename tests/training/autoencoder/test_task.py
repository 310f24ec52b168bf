"""The autoencoder's training: its loss, its figures, what it is shown and what it leaves."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from torch import Generator
from torch.distributions import Normal, kl_divergence

from safelight.autoencoder import DiagonalGaussian
from safelight.data.collection import Record
from safelight.errors import BadInput
from safelight.images import to_tensor
from safelight.training.autoencoder.pictures import EVALUATED
from safelight.training.autoencoder.reconstruction import reconstruction_loss
from safelight.training.autoencoder.settings import AutoencoderLossConfig
from safelight.training.autoencoder.task import AutoencoderTask, new_autoencoder
from safelight.weights import load_autoencoder
from tests.data.shapes import SIDE, draw, png, records
from tests.training.tiny_tasks import AUTOENCODER, autoencoder_task


def test_the_divergence_is_that_of_torch() -> None:
    mean, log_variance = torch.randn(2, 2, 4, 3, 3, generator=Generator().manual_seed(0))
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).flatten(1).sum(1)
    torch.testing.assert_close(DiagonalGaussian(mean, log_variance).kl(), expected)


def test_the_reconstruction_loss_by_hand() -> None:
    image = torch.zeros(1, 3, 2, 2)
    shifted = torch.full_like(image, 0.5)
    weights = {"absolute_weight": 1.0, "square_weight": 2.0, "edge_weight": 9.0}
    assert reconstruction_loss(shifted, image, **weights).item() == pytest.approx(1.0)
    striped = image.clone()
    striped[..., 1] = 1.0  # half the pixels wrong by 1, every horizontal edge by 1, no vertical one
    assert reconstruction_loss(striped, image, **weights).item() == pytest.approx(10.5)
    assert reconstruction_loss(image, image, **weights).item() == 0
    weights = {"absolute_weight": 3.0, "square_weight": 0.0, "edge_weight": 0.0}
    assert reconstruction_loss(shifted, image, **weights).item() == pytest.approx(1.5)


def test_it_is_shown_crops_over_any_colour(tmp_path: Path) -> None:
    task = autoencoder_task(tmp_path)
    crops = [task.sample(3, Random(seed)) for seed in range(60)]
    assert {tuple(crop.shape) for crop in crops} == {(3, SIDE // 2, SIDE // 2)}
    assert torch.equal(crops[7], task.sample(3, Random(7)))
    assert len({crop.numpy().tobytes() for crop in crops}) > 50
    whole = autoencoder_task(tmp_path, records("white"), crop=SIDE).sample(0, Random(1))
    picture = to_tensor(draw("red", "circle"))
    assert torch.equal(whole, picture) or torch.equal(whole, picture.flip(-1))


def test_photos_are_as_frequent_as_asked(tmp_path: Path) -> None:
    photo = png(draw("black", "square"))
    mixed = [*records(), Record("p", (), {"split": "train", "style": "photo"}, lambda: photo)]
    found = [
        autoencoder_task(tmp_path, mixed, crop=SIDE, photo_share=share)._record(i, Random(i)).key == "p"
        for share in (0.0, 1.0)
        for i in range(4)
    ]
    assert found == [False] * 4 + [True] * 4


def test_the_latents_that_it_leaves_have_unit_variance(tmp_path: Path) -> None:
    task = autoencoder_task(tmp_path)
    task.export(tmp_path / "run")
    loaded = load_autoencoder(tmp_path / "run" / "vae")
    pictures = torch.stack([to_tensor(draw("black", shape, "white")) for shape in ("bar", "cross")])  # the held out
    with torch.no_grad():
        latents = loaded.encode(pictures).mean * loaded.config.scale
    assert float(latents.std()) == pytest.approx(1, abs=1e-3)
    with torch.no_grad():
        assert torch.equal(loaded(pictures), task.network(pictures))


def test_figures_and_sheet_are_of_held_out_pictures(tmp_path: Path) -> None:
    task = autoencoder_task(tmp_path)
    with torch.no_grad():
        assert set(task.evaluate()) == {"psnr_illustration", "ssim_illustration"}
        assert task.sheet().size == (2 * SIDE, 2 * SIDE)


def test_pictures_that_cannot_be_read_are_left_out_of_figures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = Record("!broken", (), {"split": "val", "style": "drawing"}, lambda: b"no picture")
    task, whole = autoencoder_task(tmp_path, [broken, *records("none")]), autoencoder_task(tmp_path)
    with torch.no_grad():
        assert task.evaluate() == whole.evaluate()
    task.export(tmp_path)
    assert [record.message.count("'!broken'") for record in caplog.records] == [1]
    alone = autoencoder_task(tmp_path, [broken, *(record for record in records() if record.split == "train")])
    assert alone.evaluate() == {}
    alone.export(tmp_path)
    assert math.isfinite(load_autoencoder(tmp_path / "vae").config.scale)


def test_nothing_need_be_held_out(tmp_path: Path) -> None:
    task = autoencoder_task(tmp_path, [record for record in records() if record.split == "train"])
    with torch.no_grad():
        assert task.evaluate() == {}
        assert task.sheet().size == (6 * SIDE, 2 * SIDE)
    task.export(tmp_path)
    assert math.isfinite(load_autoencoder(tmp_path / "vae").config.scale)


def test_something_must_be_left_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="None of the 2 samples is for training"):
        autoencoder_task(tmp_path, [record for record in records() if record.split == "val"])


def test_most_codes_are_in_use_from_the_start(tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = AutoencoderLossConfig(size=SIDE, crop=SIDE // 2)
    codes = replace(AUTOENCODER, codes=32)
    broken = Record("broken", (), {"split": "train"}, lambda: b"no picture")
    task = AutoencoderTask(codes, settings, [*records("none"), broken])
    torch.manual_seed(0)
    usual = new_autoencoder(codes)
    used = []
    for network in (task.autoencoder, usual):
        task.autoencoder = network
        with torch.no_grad():
            used.append(task.evaluate()["codes_used"])
    assert used[0] > 2 * used[1]


def test_all_drawings_are_as_frequent_where_photos_lie_among_them(tmp_path: Path) -> None:
    photos = [replace(one, key=f"photo {one.key}", fields={**one.fields, "style": "photo"}) for one in records()]
    task = autoencoder_task(tmp_path, [*records("none"), *photos[:6]], photo_share=0.0)
    keys = [task._record(index, Random(f"{epoch}/{index}")).key for epoch in range(100) for index in range(task.size)]
    counts = Counter(keys)
    assert len(counts) == 14
    assert max(counts.values()) < 1.5 * min(counts.values())
    alone = autoencoder_task(tmp_path, records("none"))
    assert len({alone._record(index, Random(0)).key for index in range(alone.size)}) == alone.size


def test_where_nothing_is_held_out_examples_are_drawn_by_lot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVALUATED, "illustration", 4)
    found = [replace(one, fields={**one.fields, "split": "train"}) for one in records()]
    chosen = [record.key for record in autoencoder_task(tmp_path, found).examples["any"]]
    assert len(chosen) == 4
    assert chosen != [record.key for record in found[:4]]
