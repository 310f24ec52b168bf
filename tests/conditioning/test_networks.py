"""The class table and the rescaler, against what their published code says."""

from __future__ import annotations

import torch
from torch.nn import functional
from weights.references import TOLERANCE, noise, relative_error, scrambled

from safelight.conditioning import ClassEmbedder, Rescaler
from safelight.configs import ClassEmbedderConfig, RescalerConfig


def test_a_class_is_one_vector_of_the_context() -> None:
    table = ClassEmbedder(ClassEmbedderConfig(classes=7, width=5))
    context = table(torch.tensor([6, 2]))
    assert context.shape == (2, 1, 5)
    assert torch.equal(context[:, 0], table.embedding.weight[[6, 2]])


def test_two_halvings_are_the_mean_of_sixteen_and_a_mix_of_channels() -> None:
    """Bilinear interpolation to half the size takes the mean of each two by two; done twice, of four by four."""
    rescaler = scrambled(Rescaler(RescalerConfig(stages=2, in_channels=6, out_channels=3)))
    one_hot = functional.one_hot(torch.randint(0, 6, (2, 16, 24)), 6).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = torch.einsum("oi,bihw->bohw", rescaler.mix.weight[:, :, 0, 0], functional.avg_pool2d(one_hot, 4))
        found = rescaler(one_hot)
    assert found.shape == (2, 3, 4, 6)
    assert relative_error(found, expected) <= TOLERANCE


def test_odd_sizes_are_cut_as_the_published_code_cuts_them() -> None:
    rescaler = scrambled(Rescaler(RescalerConfig(stages=1, in_channels=2, out_channels=2)))
    x = noise(1, 2, 7, 9)
    expected = rescaler.mix(functional.interpolate(x, scale_factor=0.5, mode="bilinear"))
    assert torch.equal(rescaler(x), expected)
    assert expected.shape == (1, 2, 3, 4)


def test_the_published_sizes() -> None:
    assert Rescaler(RescalerConfig()).mix.weight.shape == (3, 182, 1, 1)
    assert [name for name, _ in Rescaler(RescalerConfig()).named_parameters()] == ["mix.weight"]
    assert ClassEmbedder(ClassEmbedderConfig()).embedding.weight.shape == (1001, 512)
