"""A picture's way through the latent and back in training, with what that costs (Rombach et al. 2022, section 3.1).

KL: the latent is drawn from its distribution (Kingma & Welling 2014). VQ: it becomes the nearest entries of the
codebook, past which gradients go straight (van den Oord et al. 2017, section 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Generator, Tensor

from safelight.autoencoder import Autoencoder, Codebook, DiagonalGaussian, Distribution
from safelight.training.autoencoder.settings import AutoencoderLossConfig
from safelight.training.engine.noise import SampleNoise


@dataclass(frozen=True)
class Coded:
    """A picture that came back. reconstruction: (b, 3, h, w), float32. cost: the scalar added to its error.

    figures: what the cost is made of, by name; scalars.
    """

    reconstruction: Tensor
    cost: Tensor
    figures: dict[str, Tensor]


def coded(autoencoder: Autoencoder, image: Tensor, noise: SampleNoise, settings: AutoencoderLossConfig) -> Coded:
    """Images (b, 3, h, w) through the latent and back."""
    distribution = autoencoder.encode(image)
    if autoencoder.codebook is not None:
        return _quantised(autoencoder, autoencoder.codebook, distribution.mean, settings)
    reconstruction = autoencoder.decode(drawn(distribution, noise)).float()
    divergence = distribution.kl().float().mean()
    return Coded(reconstruction, settings.kl_weight * divergence, {"kl": divergence})


def drawn(distribution: Distribution, noise: SampleNoise) -> Tensor:
    """A latent (b, c, h, w) from each picture's distribution, each with noise of its own."""
    if not isinstance(distribution, DiagonalGaussian):
        return distribution.mean
    standard = noise.normal(*distribution.mean.shape[1:]).to(distribution.mean)
    return distribution.mean + torch.exp(0.5 * distribution.log_variance) * standard


@torch.no_grad()
def begin_among_latents(autoencoder: Autoencoder, codebook: Codebook, images: Tensor) -> None:
    """Let the entries of the codebook begin as latents of some images (b, 3, h, w), drawn always alike.

    From the usual start, close to zero, few entries are ever the nearest to anything, and the others stay dead
    (Lancucki et al. 2020 begin from the data as well).
    """
    vectors = rearrange(autoencoder.encode(images).mean, "b c h w -> (b h w) c")
    drawn_places = torch.randperm(len(vectors), generator=Generator().manual_seed(0))[: len(codebook.entries.weight)]
    codebook.entries.weight[: len(drawn_places)] = vectors[drawn_places]


def _quantised(autoencoder: Autoencoder, codebook: Codebook, latent: Tensor, settings: AutoencoderLossConfig) -> Coded:
    quantised = codebook(latent)
    reconstruction = autoencoder.decoder(autoencoder.latent_in(quantised.latent)).float()
    cost = settings.codebook_weight * quantised.codebook_error + settings.commitment_weight * quantised.commitment_error
    figures = {"codebook": quantised.codebook_error, "commitment": quantised.commitment_error}
    return Coded(reconstruction, cost, figures)
