"""Every sampler against a denoiser that is known exactly: errors fall with the method's order, noise has its size."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from safelight.diffusion.samplers import SAMPLERS, Sampler, dpmpp_3m_sde
from safelight.diffusion.samplers.averaging import OF_NOISE, OF_VELOCITY, Averaging
from safelight.diffusion.samplers.dpmpp_3m_sde import through_three
from safelight.diffusion.samplers.lms import integration_weights

from .analytic import MEAN, VARIANCE, no_noise, one_bump, two_bumps

PIXELS = torch.linspace(-2.2, 2.2, 41, dtype=torch.float64).reshape(1, 1, 1, -1)
STOCHASTIC = ("ddpm", "euler_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde", "lcm")
DETERMINISTIC = sorted(SAMPLERS.keys() - set(STOCHASTIC))


def geometric(steps: int, start: float = 8.0, end: float = 0.05) -> Tensor:
    return torch.linspace(math.log(start), math.log(end), steps + 1, dtype=torch.float64).exp()


def even(steps: int) -> Tensor:
    return torch.linspace(3.0, 0.3, steps + 1, dtype=torch.float64)


def fine_solution(sigmas: Tensor) -> Tensor:
    """The probability-flow equation solved by the classical Runge-Kutta method, which no sampler here is made of."""

    def slope(x: Tensor, sigma: Tensor) -> Tensor:
        return (x - two_bumps(x, sigma)) / sigma

    x = PIXELS * sigmas[0]
    for sigma, after in pairwise(sigmas):
        width, middle = after - sigma, (sigma + after) / 2
        first = slope(x, sigma)
        second = slope(x + width / 2 * first, middle)
        third = slope(x + width / 2 * second, middle)
        x = x + width * (first + 2 * second + 2 * third + slope(x + width * third, after)) / 6
    return x


def final(sampler: Sampler, sigmas: Tensor) -> Tensor:
    *_, last = sampler(two_bumps, PIXELS * sigmas[0], sigmas, no_noise)
    return last.x


@pytest.fixture(scope="module")
def geometric_solution() -> Tensor:
    return fine_solution(geometric(400))


@pytest.fixture(scope="module")
def even_solution() -> Tensor:
    return fine_solution(even(400))


def order(name: str, coarse: Tensor, fine: Tensor, solution: Tensor) -> float:
    errors = [float((final(SAMPLERS[name], sigmas) - solution).abs().max()) for sigmas in (coarse, fine)]
    return math.log2(errors[0] / errors[1])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("euler", 1), ("ddim", 1), ("heun", 2), ("dpm2", 2), ("dpmpp_2m", 2), ("plms", 2), ("pndm", 2), ("lms", 2.7),
        ("unipc", 3),
    ],
)  # fmt: skip
def test_order_on_geometric_sigmas(name: str, expected: float, geometric_solution: Tensor) -> None:
    """PLMS and PNDM take their steps to be equal, so that here they are of second order, as their paper says."""
    assert order(name, geometric(100), geometric(200), geometric_solution) == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize(("name", "expected"), [("plms", 3.5), ("pndm", 3.5), ("lms", 2.8), ("unipc", 2.7)])
def test_order_on_even_sigmas(name: str, expected: float, even_solution: Tensor) -> None:
    """Four estimates give fourth order, less what the first steps, of lower order, leave behind."""
    assert order(name, even(40), even(80), even_solution) >= expected


def test_runge_kutta_start_is_of_fourth_order() -> None:
    errors = []
    for end in (2.4, 2.7):  # three steps, then three of half the width: the local error falls by 2^5
        sigmas = torch.linspace(3.0, end, 4, dtype=torch.float64)
        exact = fine_solution(torch.linspace(3.0, end, 301, dtype=torch.float64))
        errors.append(float((final(SAMPLERS["pndm"], sigmas) - exact).abs().max()))
    assert math.log2(errors[0] / errors[1]) > 4.5


def test_every_deterministic_sampler_agrees(geometric_solution: Tensor) -> None:
    for name in DETERMINISTIC:
        limit = 0.02 if name in ("euler", "ddim") else 2e-4
        assert (final(SAMPLERS[name], geometric(320)) - geometric_solution).abs().max() < limit, name


def test_lms_weights_integrate_cubic_polynomials_exactly() -> None:
    nodes, end = [5.0, 7.0, 8.5, 12.0], 3.2
    for power in range(4):
        exact = (end ** (power + 1) - nodes[0] ** (power + 1)) / (power + 1)
        weights = integration_weights(nodes, end)
        assert sum(w * node**power for w, node in zip(weights, nodes, strict=True)) == pytest.approx(exact)


def test_3m_integrates_straight_lines_exactly() -> None:
    """What diffusers weighs otherwise than the derivation is the curvature alone; a straight line has none."""
    times = torch.tensor([0.0, 0.3, 0.7, 1.2], dtype=torch.float64)
    fine = torch.linspace(0.7, 1.2, 20001, dtype=torch.float64)
    weight = torch.exp(2 * (fine - 1.2))
    for power in range(2):
        exact = torch.trapezoid(weight * fine**power, fine) / torch.trapezoid(weight, fine)
        aim = through_three([times[2] ** power, times[1] ** power, times[0] ** power], torch.exp(-times))
        assert float(aim) == pytest.approx(float(exact), rel=1e-7)


def test_dpmpp_2s_ancestral_follows_its_equations() -> None:
    """Lu et al. 2022b, Algorithm 1, with r = 1/2 and t = -log sigma; diffusers has no such class to compare with."""
    sigmas = geometric(6)
    x = 8 * PIXELS
    steps = SAMPLERS["dpmpp_2s_ancestral"](two_bumps, x, sigmas, lambda: torch.full_like(PIXELS, 0.3))
    for step in steps:
        down = step.next_sigma**2 / step.sigma
        start, end = -step.sigma.log(), -down.log()
        middle = start + (end - start) / 2
        half = torch.exp(start - middle) * x - torch.expm1(start - middle) * two_bumps(x, step.sigma)
        x = torch.exp(start - end) * x - torch.expm1(start - end) * two_bumps(half, torch.exp(-middle))
        x = x + 0.3 * (step.next_sigma**2 - down**2).sqrt()
        torch.testing.assert_close(step.x, x)


def drawn(name: str, denoiser: object, sigmas: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)

    def noise() -> Tensor:
        return torch.randn(1, 1, 200, 200, generator=generator)

    *_, last = SAMPLERS[name](denoiser, noise() * sigmas[0], sigmas, noise)  # type: ignore[arg-type]
    return last.x


@pytest.mark.parametrize("name", [name for name in STOCHASTIC if name != "lcm"])
def test_stochastic_samplers_draw_the_distribution(name: str) -> None:
    sigmas = torch.cat([geometric(120, 20.0, 0.02), torch.zeros(1)]).float()
    x = drawn(name, two_bumps, sigmas)
    assert float(x.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(x.var()) / VARIANCE == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_noise_has_the_size_of_the_level(name: str) -> None:
    """Where all pictures are the same one, x must be it plus noise of exactly the level, whatever the steps."""
    sigmas = torch.tensor([9.0, 4.0, 3.0, 0.7, 0.5])
    x = drawn(name, lambda x, sigma: torch.full_like(x, 2.0), sigmas)
    assert float(x.mean()) == pytest.approx(2.0, abs=0.02)
    assert float(x.std()) == pytest.approx(0.5, rel=0.02)


def test_lcm_draws_the_distribution_with_a_consistent_network() -> None:
    def consistent(x: Tensor, sigma: Tensor) -> Tensor:
        return x / (1 + sigma**2).sqrt()  # where the flow of N(0, 1) data through x ends

    x = drawn("lcm", consistent, torch.tensor([9.0, 4.0, 1.0, 0.0]))
    assert float(x.var()) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_one_step_lands_on_the_clean_estimate(name: str) -> None:
    sigmas = torch.tensor([5.0, 0.0])
    x = torch.randn(2, 3, 4, 4)
    (step,) = SAMPLERS[name](one_bump, x, sigmas, no_noise)
    assert torch.allclose(step.x, one_bump(x, sigmas[0]), atol=1e-5)
    assert torch.equal(step.latent, step.x)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_steps_tell_where_they_are(name: str) -> None:
    sigmas = torch.tensor([5.0, 3.0, 2.0, 1.0, 0.5, 0.0])
    start = torch.randn(1, 3, 4, 4)
    kept = start.clone()
    steps = list(SAMPLERS[name](one_bump, start, sigmas, lambda: torch.randn(1, 3, 4, 4)))
    assert [(step.index, step.total) for step in steps] == [(index, 5) for index in range(5)]
    assert [float(step.sigma) for step in steps] == sigmas[:-1].tolist()
    assert [float(step.next_sigma) for step in steps] == sigmas[1:].tolist()
    assert torch.equal(start, kept)
    assert torch.allclose(steps[0].denoised, one_bump(start, sigmas[0]))
    assert torch.allclose(steps[2].latent, steps[2].x / 2**0.5)


@pytest.mark.parametrize("averaging", [OF_NOISE, OF_VELOCITY])
@pytest.mark.parametrize("name", ["plms", "pndm"])
def test_either_average_leads_to_the_same_picture_as_steps_grow(name: str, averaging: Averaging) -> None:
    sigmas = torch.linspace(3.0, 0.3, 201, dtype=torch.float64)
    *_, last = SAMPLERS[name](two_bumps, PIXELS.double(), sigmas, no_noise, averaging=averaging)  # type: ignore[call-arg]
    *_, exact = SAMPLERS["heun"](two_bumps, PIXELS.double(), sigmas, no_noise)
    assert torch.allclose(last.x, exact.x, atol=0.02 if averaging is OF_VELOCITY else 1e-4)


@pytest.mark.parametrize("sigma", [0.03, 1.0, 14.6])
def test_velocity_says_the_noise(sigma: float) -> None:
    level, x, denoised = torch.tensor(sigma), torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    back = OF_VELOCITY.noise(OF_VELOCITY.estimate(x, denoised, level), x, level)
    assert torch.allclose(back, OF_NOISE.estimate(x, denoised, level), atol=1e-4)


def test_names_and_functions_agree() -> None:
    assert all(function.__name__ == name for name, function in SAMPLERS.items())
    assert dpmpp_3m_sde in SAMPLERS.values()
