"""A text encoder with a linear map from its last states to the squares of a latent."""

from __future__ import annotations

from collections.abc import Sequence

from einops import rearrange
from torch import Tensor, nn

from safelight.errors import BadInput
from safelight.text import TextEncoder, Tokenizer


class Sketcher(nn.Module):
    """Captions in, sketches of latents out.

    shape: (c, h, w) of a latent. cells: squares each way. Raises BadInput where the latent cannot be parted so, or the
    text encoder has too few places.
    """

    def __init__(self, tokenizer: Tokenizer, encoder: TextEncoder, shape: Sequence[int], cells: int) -> None:
        super().__init__()
        channels, *sides = shape
        if any(side % cells for side in sides) or cells**2 >= encoder.config.length:
            raise BadInput(
                f"sketch.cells is {cells}; it must divide the latent's {sides[0]} positions, and its square must be "
                f"below {encoder.config.length}, the places of the text encoder."
            )
        self.tokenizer = tokenizer
        self.cells = cells
        self.sizes = tuple(side // cells for side in sides)
        self.text_encoder = encoder
        self.head = nn.Linear(encoder.config.width, channels * self.sizes[0] * self.sizes[1])

    def forward(self, captions: Sequence[str]) -> Tensor:
        """b captions -> (b, c, h, w) float32: the mean of the scaled latents of all pictures that are called so."""
        ids = self.tokenizer(captions).ids.to(self.head.weight.device)
        squares = self.head(self.text_encoder(ids)[:, -(self.cells**2) :]).float()
        high, wide = self.sizes
        return rearrange(squares, "b (y x) (c i j) -> b c (y i) (x j)", y=self.cells, i=high, j=wide)
