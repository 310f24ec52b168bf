"""PSNR and SSIM against their definitions, and the structural distance that training minimises."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor

from safelight.errors import BadInput
from safelight.evaluation.fidelity import SCALES, psnr, ssim, structural_distance


def pictures(*shape: int, seed: int = 0) -> Tensor:
    """Of eight bits, in [-1, 1]."""
    return torch.randint(0, 256, shape, generator=Generator().manual_seed(seed)) / 127.5 - 1


def ssim_by_hand(one: Tensor, other: Tensor) -> float:
    """Equation 13 of Wang et al. 2004 in float64, window for window, of one colour (h, w) from 0 to 255."""
    side = torch.arange(11, dtype=torch.float64) - 5
    window = torch.exp(-(side[:, None] ** 2 + side**2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for top in range(one.shape[0] - 10):
        for left in range(one.shape[1] - 10):
            x, y = (image[top : top + 11, left : left + 11].double() for image in (one, other))
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            variance_x, variance_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
            covariance = (window * (x - mean_x) * (y - mean_y)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            values.append(
                ((2 * mean_x * mean_y + c1) * (2 * covariance + c2))
                / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))
            )
    return float(torch.stack(values).mean())


def test_psnr_is_that_of_eight_bit_pictures() -> None:
    picture = torch.randint(0, 256, (2, 3, 8, 8), generator=Generator().manual_seed(0))
    other = (picture + torch.tensor([1, 10])[:, None, None, None]).where(picture < 240, picture)
    error = (picture - other).float().square().flatten(1).mean(1)
    expected = [10 * math.log10(255**2 / value) for value in error.tolist()]
    assert psnr(other / 127.5 - 1, picture / 127.5 - 1).tolist() == pytest.approx(expected, rel=1e-4)
    nearly = picture / 127.5 - 1 + 0.003  # less than half a step of eight bits
    assert psnr(nearly, picture / 127.5 - 1).min() > 100


def test_ssim_is_the_published_formula() -> None:
    picture = pictures(2, 3, 14, 17)
    other = 0.6 * picture + 0.4 * pictures(2, 3, 14, 17, seed=1) - 0.1
    eight_bits = [((image.clamp(-1, 1) + 1) * 127.5).round() for image in (other, picture)]
    expected = [
        sum(ssim_by_hand(one[colour], two[colour]) for colour in range(3)) / 3
        for one, two in zip(*eight_bits, strict=True)
    ]
    assert 0.2 < expected[0] < 0.9
    assert ssim(other, picture).tolist() == pytest.approx(expected, abs=1e-5)


def test_equal_pictures_are_wholly_alike() -> None:
    picture = pictures(3, 3, 40, 50)
    torch.testing.assert_close(ssim(picture, picture), torch.ones(3))
    torch.testing.assert_close(structural_distance(picture, picture), torch.zeros(3), atol=1e-6, rtol=0)


def test_structure_at_one_scale_is_one_minus_ssim() -> None:
    picture, other = pictures(2, 3, 21, 21), pictures(2, 3, 21, 21, seed=1)
    torch.testing.assert_close(structural_distance(other, picture), 1 - ssim(other, picture))


def test_structure_is_compared_at_as_many_scales_as_there_is_room_for() -> None:
    """Fine stripes that fade are lost at the finest scale alone, whose weight is then what the distance can be."""
    stripes = torch.ones(1, 3, 96, 96)
    stripes[..., ::2] = -1
    for side, scales in ((22, 2), (44, 3), (88, 4), (96, 4)):
        one = stripes[..., :side, :side]
        total = sum(SCALES[:scales])
        assert structural_distance(torch.zeros_like(one), one).item() == pytest.approx(SCALES[0] / total, rel=0.02)


def test_for_like_pictures_it_is_one_minus_the_published_product() -> None:
    """For like pictures the distance is one minus MS-SSIM, the product of equation 7."""
    picture = torch.nn.functional.interpolate(pictures(1, 3, 12, 12), size=(44, 44), mode="bilinear")
    other = picture + 0.08 * pictures(1, 3, 44, 44, seed=1)
    halves = [(other, picture)]
    for _ in range(2):
        halves.append(tuple(torch.nn.functional.avg_pool2d(image, 2) for image in halves[-1]))
    # the luminance of the finer scales is left out of the product; here it is as good as equal
    weights = [weight / sum(SCALES[:3]) for weight in SCALES[:3]]
    product = math.prod(float(ssim(*pair)) ** weight for pair, weight in zip(halves, weights, strict=True))
    assert 0.0005 < 1 - product < 0.05
    assert structural_distance(other, picture).item() == pytest.approx(1 - product, rel=0.1)


def test_gradients_stay_bounded_where_pictures_are_opposite() -> None:
    picture = pictures(1, 3, 44, 44)
    opposite = (-picture).requires_grad_()
    distance = structural_distance(opposite, picture).sum()
    distance.backward()
    assert 1 < distance < 2
    assert opposite.grad is not None
    assert opposite.grad.isfinite().all()
    assert 0 < opposite.grad.abs().max() < 0.1


def test_autocast_changes_nothing() -> None:
    picture = torch.nn.functional.interpolate(pictures(1, 3, 4, 4), size=(44, 44), mode="bilinear")
    other = picture + 0.02 * pictures(1, 3, 44, 44, seed=1)
    expected = ssim(other, picture), structural_distance(other, picture)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = ssim(other, picture), structural_distance(other, picture)
    assert [float(value) for value in found] == [float(value) for value in expected]


@pytest.mark.parametrize("measure", [ssim, structural_distance])
def test_small_pictures_have_no_structure(measure: object) -> None:
    assert callable(measure)
    with pytest.raises(BadInput, match="The pictures have 10 x 30 pixels; SSIM needs at least 11 each way"):
        measure(torch.zeros(1, 3, 10, 30), torch.zeros(1, 3, 10, 30))
