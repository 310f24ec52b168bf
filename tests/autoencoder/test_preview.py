"""Previews: the linear map from latents to colours."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from safelight.autoencoder import DiagonalGaussian
from safelight.autoencoder.preview import latent_colours
from safelight.pipeline import Pipeline


class Averaging(torch.nn.Module):
    """An autoencoder whose latents are linear in the colours, and so exactly undone."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.latent_in = torch.nn.Conv2d(4, 4, 1)
        self.config = SimpleNamespace(factor=8)
        self.matrix = torch.randn(4, 3, generator=generator)
        self.offset = torch.randn(4, 1, 1, generator=generator)

    def encode(self, image: torch.Tensor) -> DiagonalGaussian:
        small = torch.nn.functional.avg_pool2d(image, 8)
        mean = torch.einsum("lc,bchw->blhw", self.matrix, small) + self.offset
        return DiagonalGaussian(mean, torch.zeros_like(mean))


def test_a_linear_autoencoder_is_undone() -> None:
    network = Averaging()
    small = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(1)) * 1.8 - 0.9
    latent = network.encode(torch.nn.functional.interpolate(small, scale_factor=8)).mean
    preview = latent_colours(network)(latent)  # type: ignore[arg-type]
    assert torch.allclose(preview, small, atol=1e-4)


def test_colours_stay_in_range(pipe: Pipeline) -> None:
    preview = latent_colours(pipe.autoencoder)(100 * torch.randn(1, 4, 3, 2))
    assert preview.shape == (1, 3, 3, 2)
    assert float(preview.abs().max()) <= 1


def test_it_follows_the_latents_dtype_and_asks_for_no_gradient(pipe: Pipeline) -> None:
    preview = latent_colours(pipe.autoencoder)(torch.randn(1, 4, 2, 2, dtype=torch.bfloat16))
    assert preview.dtype == torch.float32
    assert not preview.requires_grad
