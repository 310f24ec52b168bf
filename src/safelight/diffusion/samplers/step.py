"""What every sampler is: a generator that walks a grid and yields after each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from safelight.diffusion.denoiser import Denoiser
from safelight.diffusion.noise import NoiseSource


@dataclass(frozen=True)
class Step:
    """A step taken, from `sigma` down to `next_sigma`.

    x: (b, c, h, w) at next_sigma, in the sigma picture. denoised: (b, c, h, w), the clean estimate made at sigma.
    """

    index: int
    total: int
    sigma: Tensor
    next_sigma: Tensor
    x: Tensor
    denoised: Tensor

    @property
    def latent(self) -> Tensor:
        """x in the variance-preserving picture, in which networks and autoencoders work: (b, c, h, w)."""
        return self.x / (1 + self.next_sigma**2).sqrt()


@dataclass(frozen=True)
class Interval:
    """A step to be taken."""

    index: int
    total: int
    sigma: Tensor
    next_sigma: Tensor

    def done(self, x: Tensor, denoised: Tensor) -> Step:
        """The step that led to `x`."""
        return Step(self.index, self.total, self.sigma, self.next_sigma, x, denoised)


def intervals(sigmas: Tensor) -> Iterator[Interval]:
    """(n + 1,) falling sigmas -> the n steps between them."""
    total = len(sigmas) - 1
    for index in range(total):
        yield Interval(index, total, sigmas[index], sigmas[index + 1])


# D, start x (b, c, h, w), sigmas (n + 1,), noise -> n steps
Sampler = Callable[[Denoiser, Tensor, Tensor, NoiseSource], Iterator[Step]]
