"""Random masks: black and white, of the size asked for, of every kind, and the same from the same source."""

from __future__ import annotations

from random import Random

import numpy

from safelight.training.diffusion.masks import random_mask

SIZE = (48, 32)
MASKS = [numpy.asarray(random_mask(SIZE, Random(seed))) for seed in range(400)]


def test_masks_are_black_and_white_and_never_empty() -> None:
    assert {mask.shape for mask in MASKS} == {(32, 48)}
    assert {int(value) for mask in MASKS for value in numpy.unique(mask)} == {0, 255}
    assert all((mask == 255).any() for mask in MASKS)


def test_a_quarter_hides_everything_and_the_others_leave_something() -> None:
    shares = numpy.array([(mask == 255).mean() for mask in MASKS])
    assert 0.19 < (shares == 1).mean() < 0.31
    assert 0.1 < shares[shares < 1].mean() < 0.6
    assert (shares[shares < 1] < 0.1).any()


def test_holes_lie_everywhere() -> None:
    partial = numpy.stack([mask for mask in MASKS if (mask == 0).any()]) == 255
    assert partial.mean(0).min() > 0.05


def test_the_same_source_gives_the_same_mask() -> None:
    assert all(numpy.array_equal(numpy.asarray(random_mask(SIZE, Random(seed))), MASKS[seed]) for seed in range(20))
