"""The discriminator of patches: what it sees, and its loss."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from safelight.training.autoencoder.discriminator import Discriminator, hinge_loss
from safelight.training.autoencoder.settings import DiscriminatorConfig


def discriminator(levels: int) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(DiscriminatorConfig(width=8, levels=levels))


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=Generator().manual_seed(1))


@pytest.mark.parametrize(("levels", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_a_verdict_is_of_one_patch(levels: int, patch: int) -> None:
    """The sizes of Isola et al. 2017, appendix 6.1.2, seen by which pixels a verdict in the middle depends on.

    Normalisation spreads a trace of everything everywhere, so it is left out for that.
    """
    network = discriminator(levels)
    for block in network.blocks:
        block[1] = torch.nn.Identity()
    image = noise(1, 3, 128, 128).requires_grad_()
    verdicts = network(image)
    assert verdicts.shape[-2:] == (128 // 2**levels - 2, 128 // 2**levels - 2)
    middle = verdicts.shape[-1] // 2
    verdicts[0, 0, middle, middle].backward()
    assert image.grad is not None
    seen = image.grad.abs().sum((0, 1)).nonzero()
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [patch, patch]


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_the_smallest_picture_gets_one_verdict(levels: int) -> None:
    side = DiscriminatorConfig(levels=levels).smallest
    assert discriminator(levels)(noise(2, 3, side, side)).shape == (2, 1, 1, 1)


def test_a_verdict_does_not_depend_on_the_other_pictures() -> None:
    network, images = discriminator(2), noise(3, 3, 32, 32)
    torch.testing.assert_close(network(images), torch.cat([network(image[None]) for image in images]))


def test_it_is_not_wider_than_eight_times_its_first_layer() -> None:
    widths = [block[0].out_channels for block in Discriminator(DiscriminatorConfig(width=4, levels=5)).blocks]
    assert widths == [8, 16, 32, 32, 32]


def test_the_hinge_by_hand() -> None:
    of_real, of_made = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    assert hinge_loss(of_real, of_made).item() == pytest.approx(0.5 * ((0 + 0.5) / 2 + (0 + 1) / 2))
