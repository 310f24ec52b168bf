"""The last convolution, fitted in closed form: it is the least squares solution, and holds where nothing is known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from safelight.training.decoder.last_layer import fitted


@pytest.fixture
def layer() -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(4, 3, 3, padding=1)


def pairs_of(truth: nn.Conv2d, gain: float, count: int = 3) -> Iterator[tuple[Tensor, Tensor]]:
    """Latents, and pictures that the layer `truth` paints."""
    for seed in range(count):
        latent = torch.randn(4, 20, 20, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            yield latent, gain * truth(latent[None])[0]


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_it_finds_the_layer_that_painted_the_pictures(layer: nn.Conv2d, gain: float) -> None:
    truth = nn.Conv2d(4, 3, 3, padding=1)
    before = (layer.weight - truth.weight).norm().item(), layer.weight.clone()
    weight, bias = fitted(layer, gain, lambda latent: gain * layer(latent), pairs_of(truth, gain))
    # the ridge holds a hundredth of the way back
    assert (weight - truth.weight).norm().item() < 0.02 * before[0]
    torch.testing.assert_close(bias, truth.bias, rtol=0.02, atol=0.02)
    assert torch.equal(layer.weight, before[1]), "the layer itself is left as it was"
    assert not layer._forward_hooks


def test_no_other_weights_have_a_smaller_error(layer: nn.Conv2d) -> None:
    torch.manual_seed(1)
    known = [(torch.randn(4, 16, 16), 0.9 * torch.rand(3, 16, 16)) for _ in range(2)]

    @torch.no_grad()
    def error(weight: Tensor, bias: Tensor) -> float:
        latents, images = (torch.stack(each) for each in zip(*known, strict=True))
        return float((nn.functional.conv2d(latents, weight, bias, padding=1) - images).square().mean())

    weight, bias = fitted(layer, 1.0, layer, known)
    least = error(weight, bias)
    assert least < error(layer.weight, layer.bias if layer.bias is not None else torch.zeros(3)) / 2
    for seed in range(20):
        torch.manual_seed(seed)
        assert error(weight + 0.05 * torch.randn_like(weight), bias) > least


def test_what_is_cut_off_beyond_white_counts_for_nothing(layer: nn.Conv2d) -> None:
    layer.load_state_dict({"weight": torch.zeros_like(layer.weight), "bias": torch.tensor([1.5, 0.5, -1.5])})
    known = [(torch.randn(4, 16, 16), torch.tensor([1.0, 1.0, -1.0])[:, None, None].expand(3, 16, 16))]
    weight, bias = fitted(layer, 1.0, layer, known)
    assert bias.tolist() == pytest.approx([1.5, 1.0, -1.5], abs=0.02)
    assert not weight[0].any()
    assert not weight[2].any()


def test_what_the_inputs_do_not_tell_stays_as_it_is(layer: nn.Conv2d) -> None:
    latent = torch.zeros(4, 16, 16)
    latent[0] = torch.randn(16, 16)
    weight, _ = fitted(layer, 1.0, layer, [(latent, torch.zeros(3, 16, 16))])
    assert torch.equal(weight[:, 1:], layer.weight[:, 1:])
    assert weight[:, 0].norm() < 0.1 * layer.weight[:, 0].norm()
