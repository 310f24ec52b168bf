"""The codebook of a VQ autoencoder: each vector of a latent becomes the nearest of a fixed number of learnt ones.

van den Oord et al. 2017, equations 1 to 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

DISTANCES = 2**24  # numbers at once: a large picture against a large codebook would fill the memory


@dataclass(frozen=True)
class Quantised:
    """A latent in the words of a codebook.

    latent: (b, c, h, w), entries of the codebook; its gradient goes straight through to what was quantised.
    indices: (b, h, w) int64. codebook_error, commitment_error: the second and third term of equation 3, scalars; the
    first teaches the entries, the second the encoder. Rombach et al. weigh them 0.25 to 1.
    """

    latent: Tensor
    indices: Tensor
    codebook_error: Tensor
    commitment_error: Tensor


class Codebook(nn.Module):
    """A table of `codes` vectors of `width` numbers."""

    def __init__(self, codes: int, width: int) -> None:
        super().__init__()
        self.entries = nn.Embedding(codes, width)
        if not self.entries.weight.is_meta:
            nn.init.uniform_(self.entries.weight, -1 / codes, 1 / codes)

    def forward(self, latent: Tensor) -> Quantised:
        """(b, c, h, w) -> its nearest entries."""
        indices = self.nearest(latent)
        entries = self.look_up(indices)
        return Quantised(
            latent=entries.detach() + (latent - latent.detach()),
            indices=indices,
            codebook_error=functional.mse_loss(entries, latent.detach()),
            commitment_error=functional.mse_loss(latent, entries.detach()),
        )

    @torch.no_grad()
    def nearest(self, latent: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, h, w) int64: the index of the nearest entry to each vector, measured in float32."""
        vectors = rearrange(latent.float(), "b c h w -> (b h w) c")
        entries = self.entries.weight.float()
        squares = entries.square().sum(dim=1)
        several = max(1, DISTANCES // len(entries))
        # |v - e|^2 without |v|^2, which is the same for all entries
        found = [(squares - 2 * some @ entries.T).argmin(dim=1) for some in vectors.split(several)]
        return torch.cat(found).view(latent.shape[0], *latent.shape[2:])

    def look_up(self, indices: Tensor) -> Tensor:
        """(b, h, w) int64 -> their entries (b, c, h, w)."""
        return rearrange(self.entries(indices), "b h w c -> b c h w")
