"""One way to see a record: cut and turned, and in which shape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy
import pytest
from PIL import Image

from safelight.data.backdrop import to_square
from safelight.data.record import Record
from safelight.errors import BadInput
from safelight.training.diffusion.settings import DiffusionDataConfig, ObjectiveConfig
from safelight.training.diffusion.task import task_of_model
from safelight.training.diffusion.views import View, framing_of
from tests.data.shapes import SIDE, draw, png, records
from tests.training.tiny_tasks import loop_config, parts, run, stored


def striped(width: int, height: int) -> Image.Image:
    """Every pixel is different from its neighbours."""
    pixels = numpy.random.default_rng(0).integers(0, 256, (height, width, 4), dtype="uint8")
    pixels[..., 3] = 255
    return Image.fromarray(pixels, "RGBA")


@pytest.mark.parametrize("size", [(32, 32), (50, 32), (32, 51), (64, 64), (77, 40)])
def test_the_usual_view_is_the_middle_square(size: tuple[int, int]) -> None:
    picture = striped(*size)
    seen = View(Record("one", (), {}, lambda: png(picture)), "white", (SIDE, SIDE)).picture()
    assert seen.tobytes() == to_square(picture, SIDE).convert("RGB").tobytes()


def test_companions_lie_over_the_same_colour_and_are_turned_alike() -> None:
    drawn = draw("red", "bar", "none")
    record = Record("one", (), {}, lambda: png(drawn), {"before": lambda: png(drawn)})
    for flipped in (False, True):
        view = View(record, "blue", (SIDE, SIDE), flipped)
        assert view.companion("before").tobytes() == view.picture().tobytes()
    assert view.picture().getpixel((0, 0)) == (70, 130, 230)
    ramp = Image.fromarray(numpy.linspace(0, 65535, SIDE * SIDE).astype("uint16").reshape(SIDE, SIDE))
    deep = replace(view, record=Record("two", (), {}, lambda: png(drawn), {"depth": lambda: png(ramp)}), flipped=False)
    assert numpy.abs(numpy.asarray(deep.companion("depth"))[..., 0] - numpy.asarray(ramp) / 257).max() <= 1
    with pytest.raises(BadInput, match=r"Sample 'one' has no picture 'one\.depth\.png'"):
        view.companion("depth")


def test_buckets_are_multiples_that_the_model_can_draw() -> None:
    made = parts()  # squares of 32 pixels, in multiples of 4
    assert framing_of(made, DiffusionDataConfig()).sizes == [(32, 32)]
    sizes = framing_of(made, DiffusionDataConfig(shapes="buckets", bucket_step=8)).sizes
    assert (32, 32) in sizes
    assert all(
        width % 8 == height % 8 == 0 and width * height <= 32 * 32 and max(width, height) <= 64
        for width, height in sizes
    )
    assert len(sizes) > 3
    with pytest.raises(BadInput, match=r"data\.bucket_step is 10; this model draws sides that are multiples of 4"):
        framing_of(made, DiffusionDataConfig(shapes="buckets", bucket_step=10))


def mixed() -> list[Record]:
    """The shapes, of which some are drawn wide and some tall."""
    sizes = [(SIDE, SIDE), (2 * SIDE, SIDE), (SIDE, 2 * SIDE)]
    pictures = [png(one.picture().resize(sizes[place % 3])) for place, one in enumerate(records())]
    return [
        replace(one, read=lambda content=content: content) for one, content in zip(records(), pictures, strict=True)
    ]


def test_batches_hold_one_shape_each_and_a_run_goes_on_exactly(tmp_path: Path) -> None:
    def task(folder: Path) -> object:
        data = DiffusionDataConfig(shapes="buckets", bucket_step=8)
        return task_of_model(parts(), ObjectiveConfig(), data, mixed(), folder)

    made = task(tmp_path / "whole")
    assert sorted(set(made.buckets)) == [0, 1, 2]  # type: ignore[attr-defined]
    shapes: list[int] = []
    inner = made.loss  # type: ignore[attr-defined]
    made.loss = lambda batch, noise: shapes.append(tuple(batch["latent"].shape[2:])) or inner(batch, noise)  # type: ignore
    config = loop_config(steps=6, batch_size=3, save_every=2)
    run(made, config, tmp_path / "whole")
    assert len(set(shapes)) == 3
    run(task(tmp_path / "parts"), config, tmp_path / "parts", 3)
    run(task(tmp_path / "parts"), config, tmp_path / "parts")
    whole, again = stored(tmp_path / "whole"), stored(tmp_path / "parts")
    assert all(bool((whole[name] == again[name]).all()) for name in whole)
