"""Each picture's noise comes from its own seed alone."""

from __future__ import annotations

import pytest
import torch

from safelight.diffusion.noise import generators, noise_source
from safelight.errors import BadInput

SHAPE = (4, 8, 8)


def test_noise_is_that_of_one_generator_for_each_seed() -> None:
    draw = noise_source(generators([5, 6]), SHAPE)
    first, second = draw(), draw()
    for picture, seed in enumerate((5, 6)):
        generator = torch.Generator("cpu").manual_seed(seed)
        assert torch.equal(first[picture], torch.randn(1, *SHAPE, generator=generator)[0])
        assert torch.equal(second[picture], torch.randn(1, *SHAPE, generator=generator)[0])


def test_noise_does_not_depend_on_the_batch() -> None:
    together, alone = noise_source(generators([1, 2, 3]), SHAPE), noise_source(generators([2]), SHAPE)
    for _ in range(3):
        assert torch.equal(together()[1:2], alone())


def test_noise_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    noise_source(generators([1]), SHAPE)()
    assert torch.equal(torch.get_rng_state(), state)


def test_half_precision_is_rounded_from_the_same_noise() -> None:
    full, half = (noise_source(generators([1]), SHAPE, dtype=kind)() for kind in (torch.float32, torch.float16))
    assert torch.equal(full.half(), half)


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_seeds_out_of_range(seed: int) -> None:
    with pytest.raises(BadInput, match="seed"):
        generators([seed])
