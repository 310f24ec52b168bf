"""Through the latent and back: what KL and VQ cost, and where their gradients go."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from safelight.autoencoder import Autoencoder
from safelight.configs import AutoencoderConfig
from safelight.training.autoencoder.coding import begin_among_latents, coded, drawn
from safelight.training.autoencoder.settings import AutoencoderLossConfig
from safelight.training.engine.noise import SampleNoise

SMALL = {"channels": (4, 8), "blocks_per_level": 1, "groups": 4, "latent_channels": 2}
SETTINGS = AutoencoderLossConfig(kl_weight=0.01, codebook_weight=3.0, commitment_weight=0.5)
IMAGE = torch.randn(2, 3, 8, 8, generator=Generator().manual_seed(0))


def autoencoder(codes: int) -> Autoencoder:
    torch.manual_seed(0)
    network = Autoencoder(AutoencoderConfig(**SMALL, codes=codes))
    if network.codebook is not None:
        torch.nn.init.normal_(network.codebook.entries.weight)
    return network


def gradient(value: Tensor, network: Autoencoder, name: str) -> Tensor:
    (found,) = torch.autograd.grad(value, [dict(network.named_parameters())[name]], retain_graph=True)
    return found


def test_kl_draws_the_latent_and_pays_for_its_distribution() -> None:
    network = autoencoder(codes=0)
    back = coded(network, IMAGE, SampleNoise(5, [7, 8]), SETTINGS)
    distribution = network.encode(IMAGE)
    standard = SampleNoise(5, [7, 8]).normal(2, 4, 4)
    latent = distribution.mean + (0.5 * distribution.log_variance).exp() * standard
    torch.testing.assert_close(back.reconstruction, network.decode(latent))
    mean, variance = distribution.mean, distribution.log_variance.exp()
    divergence = 0.5 * (mean**2 + variance - 1 - variance.log()).sum((1, 2, 3)).mean()
    torch.testing.assert_close(back.figures, {"kl": divergence})
    torch.testing.assert_close(back.cost, 0.01 * divergence)


def test_vq_pays_for_the_codebook_and_for_straying_from_it() -> None:
    """Equation 3 of van den Oord et al. 2017, with weights."""
    network = autoencoder(codes=5)
    back = coded(network, IMAGE, SampleNoise(0, [0, 1]), SETTINGS)
    latent = network.encode(IMAGE).mean
    entries = network.codebook.look_up(network.codebook.nearest(latent))
    distance = (latent - entries).square().mean()
    torch.testing.assert_close(back.figures, {"codebook": distance, "commitment": distance})
    torch.testing.assert_close(back.cost, 3.5 * distance)
    torch.testing.assert_close(back.reconstruction, network.decode(latent))

    moves_entries = gradient(back.cost, network, "codebook.entries.weight")
    (by_hand,) = torch.autograd.grad(
        3 * (entries - latent.detach()).square().mean(), [network.codebook.entries.weight], retain_graph=True
    )
    torch.testing.assert_close(moves_entries, by_hand)
    (by_hand,) = torch.autograd.grad(
        0.5 * (entries.detach() - latent).square().mean(), [network.moments.weight], retain_graph=True
    )
    torch.testing.assert_close(gradient(back.cost, network, "moments.weight"), by_hand)


def test_the_gradient_of_the_picture_goes_straight_past_the_codebook() -> None:
    network = autoencoder(codes=5)
    kept: list[Tensor] = []
    network.moments.register_forward_hook(lambda module, arguments, output: kept.append(output))
    direction = torch.randn(2, 3, 8, 8, generator=Generator().manual_seed(1))
    back = coded(network, IMAGE, SampleNoise(0, [0, 1]), SETTINGS)
    kept[0].retain_grad()
    (back.reconstruction * direction).sum().backward()
    assert network.codebook.entries.weight.grad is None  # nothing but the codebook's own error moves the entries

    entries = network.codebook.look_up(network.codebook.nearest(kept[0])).detach().requires_grad_()
    (network.decoder(network.latent_in(entries)) * direction).sum().backward()
    torch.testing.assert_close(kept[0].grad, entries.grad)
    assert entries.grad.abs().max() > 1e-4


def test_vq_in_half_precision_measures_in_full() -> None:
    network = autoencoder(codes=5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        back = coded(network, IMAGE, SampleNoise(0, [0, 1]), SETTINGS)
        latent = network.encode(IMAGE).mean.float()
    entries = network.codebook.look_up(network.codebook.nearest(latent))
    assert {value.dtype for value in (back.reconstruction, back.cost)} == {torch.float32}
    assert back.figures["codebook"].item() == pytest.approx((latent - entries).square().mean().item(), rel=1e-4)


def test_what_is_drawn_for_a_picture_does_not_depend_on_the_others() -> None:
    network = autoencoder(codes=0)
    together = drawn(network.encode(IMAGE), SampleNoise(0, [3, 4]))
    alone = drawn(network.encode(IMAGE[1:]), SampleNoise(0, [4]))
    torch.testing.assert_close(together[1:], alone)


def test_a_codebook_begins_among_the_latents_it_is_for() -> None:
    network = autoencoder(codes=5)
    begin_among_latents(network, network.codebook, IMAGE)
    entries = network.codebook.entries.weight.detach()
    latents = network.encode(IMAGE).mean.movedim(1, -1).flatten(0, 2).detach()
    distances = (entries[:, None] - latents).norm(dim=2)
    assert distances.amin(1).max() < 1e-5
    assert len(distances.argmin(1).unique()) == 5
    again = autoencoder(codes=5)
    torch.manual_seed(9)
    begin_among_latents(again, again.codebook, IMAGE)
    assert torch.equal(again.codebook.entries.weight, entries)


def test_where_latents_are_few_the_other_entries_stay() -> None:
    network = autoencoder(codes=40)
    before = network.codebook.entries.weight.detach().clone()
    begin_among_latents(network, network.codebook, IMAGE)  # 32 positions
    changed = (network.codebook.entries.weight != before).any(1)
    assert changed.tolist() == [True] * 32 + [False] * 8
