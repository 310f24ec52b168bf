"""The figures of two sets, and the one that is not told of few pictures."""

from __future__ import annotations

import pytest
import torch

from safelight.errors import BadInput
from safelight.evaluation.comparison import comparison_figures, fid_figure, refusal_of_fid
from safelight.evaluation.frechet_distance import fid
from safelight.evaluation.kernel_distance import kid


@pytest.fixture
def features() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(30, 4, generator=generator), torch.randn(40, 4, generator=generator)


def test_every_figure_bears_the_judges_name(features: tuple[torch.Tensor, torch.Tensor]) -> None:
    found = [*comparison_figures("clip-image 12ab", *features), fid_figure("clip-image 12ab", *features, fewest=30)]
    assert [figure.column for figure in found] == [
        f"{name} (clip-image 12ab)" for name in ("KID", "precision", "recall", "FID")
    ]
    assert {(figure.pictures, figure.real) for figure in found} == {(30, 40)}
    assert found[0].interval.value == kid(*features)
    assert found[3].interval.value == fid(*features)
    assert all(figure.interval.low <= figure.interval.value <= figure.interval.high for figure in found)


@pytest.mark.parametrize(("drawn", "real"), [(1999, 5000), (5000, 1999)])
def test_fid_of_few_pictures_is_refused(drawn: int, real: int) -> None:
    with pytest.raises(BadInput, match=f"not told of {drawn} drawn and {real} real pictures: below 2000"):
        fid_figure("judge", torch.zeros(drawn, 2), torch.zeros(real, 2))
    assert "--small" in refusal_of_fid(drawn, real)


def test_fid_of_enough_pictures_is_told() -> None:
    generator = torch.Generator().manual_seed(1)
    found = fid_figure("judge", *torch.randn(2, 2000, 2, generator=generator))
    assert found.interval.value < 0.02
    assert refusal_of_fid(2000, 2000) == ""


def test_too_few_to_compare() -> None:
    with pytest.raises(BadInput, match="3 drawn and 9 real pictures are too few"):
        comparison_figures("judge", torch.zeros(3, 2), torch.zeros(9, 2))
