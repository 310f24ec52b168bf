"""Pictures made small and bad: still the same picture, and the same from the same source."""

from __future__ import annotations

from random import Random

import numpy
from PIL import Image

from safelight.training.diffusion.degradation import degraded
from tests.data.shapes import draw

PICTURE = draw("red", "circle").convert("RGB")


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(numpy.abs(numpy.asarray(one).astype(float) - numpy.asarray(other)).mean())


def test_faults_are_seen_and_the_picture_is_still_there() -> None:
    clean = PICTURE.resize((8, 8), Image.Resampling.BOX)
    other = draw("blue", "bar").convert("RGB").resize((8, 8), Image.Resampling.BOX)
    found = [degraded(PICTURE, 4, Random(seed)) for seed in range(50)]
    assert {picture.size for picture in found} == {(8, 8)}
    faults = [difference(picture, clean) for picture in found]
    assert 2 < sum(faults) / 50 < 30
    assert max(faults) > 2 * min(faults)
    assert all(difference(picture, clean) < difference(picture, other) for picture in found)


def test_the_same_source_gives_the_same_faults() -> None:
    one, again, another = (degraded(PICTURE, 2, Random(seed)).tobytes() for seed in (1, 1, 2))
    assert one == again != another
