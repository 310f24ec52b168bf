"""Copies of training pictures are found, and new pictures are not taken for them."""

from __future__ import annotations

import numpy
from PIL import Image

from safelight.data.collection import Record
from safelight.evaluation.copies import TrainingPictures, copy_figures, nearest_training
from safelight.evaluation.judging import Beside, Judges, judge
from safelight.evaluation.pictures import Pictures, on_white
from safelight.evaluation.report import Report
from tests.evaluation.tiny_judges import cut_out, record


def soft(seed: int) -> Image.Image:
    pixels = numpy.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=numpy.uint8)
    return Image.fromarray(pixels).resize((48, 48), Image.Resampling.BICUBIC)


def samples(first: int, count: int) -> list[Record]:
    return [record(f"{seed}", soft(seed), concept=f"thing {seed % 7}") for seed in range(first, first + count)]


def test_copies_and_new_pictures() -> None:
    training = TrainingPictures(samples(0, 40))
    held_out = nearest_training(Pictures(samples(100, 100), on_white), training)
    known, new = samples(0, 10), samples(200, 30)
    drawn = nearest_training(Pictures([*known, *new], on_white), training)
    assert drawn.row[:10].tolist() == list(range(10))
    assert not drawn.distance[:10].any()
    asked = [record.fields["concept"] for record in known] + [None] * 30
    distance, shows, copies = copy_figures(drawn, held_out, training, asked)
    assert (distance.pictures, distance.real) == (40, 40)
    assert (shows.interval.value, shows.pictures) == (1, 10)
    assert 0.25 <= copies.interval.value <= 0.35  # those ten of forty, and one or two of the others
    assert copies.real == 100
    grouped, *_ = copy_figures(drawn, held_out, training, asked, [place // 10 for place in range(40)])
    assert grouped.interval.value == distance.interval.value
    assert grouped.interval.high - grouped.interval.low > 1.2 * (distance.interval.high - distance.interval.low)


def test_pictures_of_one_prompt_are_taken_together() -> None:
    """Of two prompts, one copied: a bootstrap over prompts comes to draw the copied one alone."""
    drawn = [record(f"{seed}", soft(seed), "copied" if seed < 8 else "new") for seed in range(16)]
    beside = Beside(real=None, held_out=None, training=samples(0, 8), concepts=[], kept=None, fewest=2)
    report = Report({})
    judge(report, Pictures(drawn, on_white), beside, Judges(), lambda things, *_: things)
    (distance,) = [figure for figure in report.figures if figure.name == "nearest training"]
    assert distance.interval.low == 0 < distance.interval.value


def test_backgrounds_do_not_hide_a_copy() -> None:
    """A training picture drawn on another background is as near as on its own."""
    training = TrainingPictures([record("red", cut_out("red")), record("blue", cut_out("blue"))])
    drawn = Pictures([record("drawn", cut_out("red"), background="green")], lambda each: each.fields["background"])
    found = nearest_training(drawn, training)
    assert found.row.tolist() == [0]
    assert (
        found.distance[0] < 0.05 < nearest_training(drawn, TrainingPictures([record("b", cut_out("blue"))])).distance[0]
    )


def test_nothing_held_out_and_nothing_asked_for() -> None:
    training = TrainingPictures(samples(0, 3))
    found = copy_figures(nearest_training(Pictures(samples(5, 2), on_white), training), None, training, [None, None])
    assert [figure.name for figure in found] == ["nearest training"]


def test_a_damaged_training_picture_is_passed_over() -> None:
    damaged = Record("damaged", (), {}, lambda: b"no picture")
    training = TrainingPictures([damaged, *samples(0, 3)])
    found = nearest_training(Pictures(samples(1, 1), on_white), training)
    assert [training.records[row].key for row in found.row.tolist()] == ["1"]
