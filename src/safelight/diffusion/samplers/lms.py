"""K-LMS: a linear multistep method whose weights fit the uneven spacing of the sigmas.

The last four noise estimates are joined by a polynomial in sigma, which is integrated exactly over the step: the
Adams-Bashforth method for unequal steps (Hairer, Norsett & Wanner 1993, section III.5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource
from safelight.diffusion.samplers.moves import noise_estimate
from safelight.diffusion.samplers.step import Step, intervals

ORDER = 4


def lms(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Iterator[Step]:
    """One network call a step; up to fourth order, rising with the history; draws no noise."""
    estimates: list[Tensor] = []
    for step in intervals(sigmas):
        denoised = denoiser(x, step.sigma)
        estimates = [noise_estimate(x, denoised, step.sigma), *estimates][:ORDER]
        visited = [float(sigmas[step.index - back]) for back in range(len(estimates))]
        weights = integration_weights(visited, float(step.next_sigma))
        for weight, estimate in zip(weights, estimates, strict=True):
            x = x + weight * estimate
        yield step.done(x, denoised)


def integration_weights(nodes: Sequence[float], end: float) -> list[float]:
    """The integral from nodes[0] to `end` of each Lagrange polynomial on `nodes`, of which there are up to four.

    Gauss's rule with two points is exact for the cubic polynomials that four nodes give.
    """
    centre, half = (nodes[0] + end) / 2, (end - nodes[0]) / 2
    points = (centre - half / 3**0.5, centre + half / 3**0.5)
    return [half * sum(_lagrange(nodes, index, point) for point in points) for index in range(len(nodes))]


def _lagrange(nodes: Sequence[float], index: int, point: float) -> float:
    """The polynomial that is 1 at nodes[index] and 0 at the other nodes."""
    others = [node for position, node in enumerate(nodes) if position != index]
    return prod((point - node) / (nodes[index] - node) for node in others)
