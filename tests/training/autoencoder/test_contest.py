"""Autoencoder against discriminator: each gradient goes where it should, and the adaptive weight is the ratio it is."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from safelight.training.autoencoder.contest import Contest, adaptive_weight, contest, with_gradient
from safelight.training.autoencoder.discriminator import Discriminator, hinge_loss
from safelight.training.autoencoder.settings import DiscriminatorConfig

IMAGE = torch.rand(2, 3, 16, 16, generator=Generator().manual_seed(0)) * 2 - 1
SETTINGS = DiscriminatorConfig(weight=0.5, width=4, levels=2)


@pytest.fixture
def autoencoder() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, 3, 3, padding=1)).double()


@pytest.fixture
def discriminator() -> Discriminator:
    torch.manual_seed(1)
    made = Discriminator(SETTINGS).double()
    for parameter in made.parameters():  # far enough from zero that the two sides pull about equally
        parameter.data.mul_(2)
    return made


def error_of(reconstruction: Tensor) -> Tensor:
    return (reconstruction - IMAGE).abs().mean()


def held(autoencoder: nn.Sequential, discriminator: Discriminator, settings: DiscriminatorConfig = SETTINGS) -> Contest:
    reconstruction = autoencoder(IMAGE.double())
    return contest(
        discriminator,
        settings,
        image=IMAGE.double(),
        reconstruction=reconstruction,
        error=error_of(reconstruction),
        last_layer=autoencoder[2].weight,
    )


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}


def assert_equal_gradients(network: nn.Module, expected: dict[str, Tensor]) -> None:
    found = gradients(network)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-9)
        assert gradient.abs().max() > 1e-6


def test_both_learn_what_two_separate_steps_would_teach_them(
    autoencoder: nn.Sequential, discriminator: Discriminator
) -> None:
    """The usual way, for comparison: two losses, each backward by itself, with the other's weights held fast."""
    result = held(autoencoder, discriminator)
    result.loss.backward()
    ours = [gradients(autoencoder), gradients(discriminator)]
    autoencoder.zero_grad()
    discriminator.zero_grad()

    fixed = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    doubt = -functional_call(discriminator, fixed, (autoencoder(IMAGE.double()),)).mean()
    (SETTINGS.weight * result.figures["adaptive_weight"] * doubt).backward()
    with torch.no_grad():
        made = autoencoder(IMAGE.double())
    hinge = hinge_loss(discriminator(IMAGE.double()), discriminator(made))
    hinge.backward()
    for network, found in zip((autoencoder, discriminator), ours, strict=True):
        expected = gradients(network)
        network.zero_grad()
        for name, parameter in network.named_parameters():
            parameter.grad = found.get(name)
        assert_equal_gradients(network, expected)
    assert result.figures["adversarial"].item() == pytest.approx(doubt.item())
    assert result.figures["discriminator"].item() == pytest.approx(hinge.item())


def test_each_side_leaves_the_other_as_it_is(autoencoder: nn.Sequential, discriminator: Discriminator) -> None:
    held(autoencoder, discriminator).figures["adversarial"].backward()
    assert len(gradients(autoencoder)) == 4
    assert not gradients(discriminator)
    autoencoder.zero_grad()
    held(autoencoder, discriminator).figures["discriminator"].backward()
    assert not gradients(autoencoder)
    assert len(gradients(discriminator)) == len(list(discriminator.parameters()))


def test_taking_the_weight_leaves_no_gradient_behind(autoencoder: nn.Sequential, discriminator: Discriminator) -> None:
    held(autoencoder, discriminator)
    assert not gradients(autoencoder)
    assert not gradients(discriminator)


def test_the_adaptive_weight_is_the_ratio_of_the_pulls_on_the_last_layer(
    autoencoder: nn.Sequential, discriminator: Discriminator
) -> None:
    """Both lengths by finite differences: each weight of the last layer is moved a little, either way."""
    last, step = autoencoder[2].weight, 1e-6
    lengths = []
    for loss in (error_of, lambda reconstruction: -discriminator(reconstruction).mean()):
        slopes = []
        for place in range(last.numel()):
            values = []
            for side in (step, -step):
                with torch.no_grad():
                    last.view(-1)[place] += side
                    values.append(float(loss(autoencoder(IMAGE.double()))))
                    last.view(-1)[place] -= side
            slopes.append((values[0] - values[1]) / (2 * step))
        lengths.append(torch.tensor(slopes).norm())
    expected = float(lengths[0] / lengths[1])
    assert 0.01 < expected < 100
    found = held(autoencoder, discriminator).figures["adaptive_weight"]
    assert float(found) == pytest.approx(expected, rel=1e-4)
    assert not found.requires_grad


def test_the_adaptive_weight_stays_finite_and_within_its_bound(
    autoencoder: nn.Sequential, discriminator: Discriminator
) -> None:
    reconstruction = autoencoder(IMAGE.double())
    nothing, something = torch.zeros_like(reconstruction), torch.ones_like(reconstruction)
    last = autoencoder[2].weight
    assert float(adaptive_weight(reconstruction, last, nothing, something)) == 0
    assert 1e6 < float(adaptive_weight(reconstruction, last, something, nothing)) < float("inf")
    for parameter in discriminator.parameters():
        parameter.data.zero_()
    found = held(autoencoder, discriminator, DiscriminatorConfig(weight=0.5, width=4, levels=2, most=7.0))
    assert float(found.figures["adaptive_weight"]) == 7.0


def test_a_known_gradient_is_given_on_with_the_value() -> None:
    of = torch.ones(3, requires_grad=True)
    gradient = torch.tensor([1.0, -2.0, 3.0])
    value = with_gradient(torch.tensor(5.0), of, gradient)
    assert value.item() == 5
    (2 * value).backward()
    assert of.grad is not None
    assert of.grad.tolist() == [2.0, -4.0, 6.0]
