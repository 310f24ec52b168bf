"""A text encoder with a linear map from its last states to the squares of a latent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from safelight.errors import BadInput
from safelight.weights.parts import AnyTextEncoder, AnyTokenizer

READ_AT_ONCE = 64


class Sketcher(nn.Module):
    """Captions in, sketches of latents out.

    shape: (c, h, w) of a latent. cells: squares each way. Raises BadInput where the latent cannot be parted so, or the
    text encoder has too few places.
    """

    def __init__(self, tokenizer: AnyTokenizer, encoder: AnyTextEncoder, shape: Sequence[int], cells: int) -> None:
        super().__init__()
        channels, *sides = shape
        if any(side % cells for side in sides) or cells**2 >= encoder.config.length:
            raise BadInput(
                f"sketch.cells, or following.cells, is {cells}; it must divide the latent's {sides[0]} positions, and "
                f"its square must be below {encoder.config.length}, the places of the text encoder."
            )
        self.tokenizer = tokenizer
        self.cells = cells
        self.sizes = tuple(side // cells for side in sides)
        self.text_encoder = encoder
        self.head: nn.Linear | KeptMap = nn.Linear(encoder.config.width, channels * self.sizes[0] * self.sizes[1])

    def forward(self, captions: Sequence[str]) -> Tensor:
        """b captions -> (b, c, h, w) float32: the mean of the scaled latents of all pictures that are called so."""
        return self.of_states(self.states(captions))

    @torch.no_grad()
    def keep_map(self, captions: Sequence[str], latents: Tensor) -> None:
        """Take the map that fits n captions to their latents (n, c, h, w) best, by least squares; it learns no more."""
        states = self.read(captions)[:, -(self.cells**2) :].flatten(0, 1)
        high, wide = self.sizes
        squares = rearrange(latents, "b c (y i) (x j) -> (b y x) (c i j)", i=high, j=wide).to(states)
        padded = functional.pad(states, (0, 1), value=1.0)
        # A ridge far below the states' own spread: without it, few captions leave the map undetermined.
        ridge = 1e-4 * padded.square().mean() * len(padded) * torch.eye(padded.shape[1], device=padded.device)
        fitted = torch.linalg.solve(padded.T @ padded + ridge, padded.T @ squares)
        self.head = KeptMap(fitted[:-1].T.contiguous(), fitted[-1])

    def states(self, captions: Sequence[str]) -> Tensor:
        """What a UNet reads of b captions: (b, length, width)."""
        ids = self.tokenizer(captions).ids.to(next(self.text_encoder.parameters()).device)
        states: Tensor = self.text_encoder(ids)
        return states

    @torch.no_grad()
    def read(self, captions: Sequence[str]) -> Tensor:
        """The same of any number of captions, float32, so many at once that they fit into memory; nothing is learnt."""
        parts = [captions[start : start + READ_AT_ONCE] for start in range(0, len(captions), READ_AT_ONCE)]
        return torch.cat([self.states(part).float() for part in parts])

    def of_states(self, states: Tensor) -> Tensor:
        """The sketches (b, c, h, w), float32, that (b, length, width) hold: in the last `cells`^2 of them."""
        squares = self.head(states[:, -(self.cells**2) :]).float()
        high, wide = self.sizes
        return rearrange(squares, "b (y x) (c i j) -> b c (y i) (x j)", y=self.cells, i=high, j=wide)


class KeptMap(nn.Module):
    """A linear map that does not learn, nor is it stored: it is found anew each time."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, states: Tensor) -> Tensor:
        """(..., width) -> (..., values of a square)."""
        return functional.linear(states, self.weight, self.bias)
