"""The codebook: the nearest entry, gradients straight through, and memory that does not grow with the picture."""

from __future__ import annotations

import pytest
import torch
from weights.references import noise

from safelight.autoencoder import Codebook, codebook


@pytest.fixture
def book() -> Codebook:
    torch.manual_seed(0)
    made = Codebook(50, 3)
    torch.nn.init.normal_(made.entries.weight)
    return made


def by_hand(book: Codebook, latent: torch.Tensor) -> torch.Tensor:
    """Every distance to every entry, in float64."""
    vectors = latent.double().permute(0, 2, 3, 1)[..., None, :]
    return (vectors - book.entries.weight.double()).square().sum(-1).argmin(-1)


def test_the_nearest_entry_is_found(book: Codebook) -> None:
    latent = noise(2, 3, 9, 7)
    expected = by_hand(book, latent)
    found = book(latent)
    assert torch.equal(found.indices, expected)
    assert torch.equal(found.latent, book.entries.weight[expected].permute(0, 3, 1, 2))
    assert len(expected.unique()) > 20


def test_it_measures_in_pieces(book: Codebook, monkeypatch: pytest.MonkeyPatch) -> None:
    latent = noise(2, 3, 9, 7)
    expected = book.nearest(latent)
    monkeypatch.setattr(codebook, "DISTANCES", 50 * 4)
    assert torch.equal(book.nearest(latent), expected)


def test_what_is_quantised_stays_as_it_is(book: Codebook) -> None:
    once = book(noise(1, 3, 6, 6)).latent
    assert torch.equal(book(once).latent, once)


def test_half_precision_finds_the_nearest_of_its_own_entries(book: Codebook) -> None:
    half = book.bfloat16()
    latent = noise(1, 3, 16, 16).bfloat16()
    assert torch.equal(half.nearest(latent), by_hand(half, latent))
    assert half(latent).latent.dtype == torch.bfloat16


def test_gradients_go_straight_through_and_the_errors_teach_each_its_own(book: Codebook) -> None:
    latent = noise(1, 3, 4, 4).requires_grad_()
    weight = noise(1, 3, 4, 4, seed=2)
    quantised = book(latent)
    (quantised.latent * weight).sum().backward()
    assert torch.equal(latent.grad, weight)
    assert book.entries.weight.grad is None

    latent.grad = None
    quantised = book(latent)
    quantised.codebook_error.backward()
    assert latent.grad is None
    assert float(book.entries.weight.grad.abs().sum()) > 0

    book.entries.weight.grad = None
    quantised.commitment_error.backward()
    assert book.entries.weight.grad is None
    torch.testing.assert_close(latent.grad, 2 * (latent - quantised.latent).detach() / latent.numel())
