"""Captions as the UNet reads them, by a text encoder that does not learn: each is computed once and kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from safelight.weights.parts import AnyTextEncoder, AnyTokenizer

KEPT_TEXTS = 8192  # of the captions' hidden states, 40 kB each at 77 x 256


class TextCache:
    """Hidden states of captions, each computed alone, so that they do not depend on the batch they came in."""

    def __init__(self, tokenizer: AnyTokenizer, encoder: AnyTextEncoder) -> None:
        self.tokenizer = tokenizer
        self.encoder = encoder
        self.kept: dict[str, Tensor] = {}

    def __call__(self, captions: Sequence[str]) -> Tensor:
        """(b, n, width), on the device of the text encoder."""
        return torch.stack([self._hidden(caption) for caption in captions]).float()

    @torch.no_grad()
    def _hidden(self, caption: str) -> Tensor:
        if caption not in self.kept:
            if len(self.kept) >= KEPT_TEXTS:
                self.kept.clear()
            ids = self.tokenizer([caption]).ids.to(next(self.encoder.parameters()).device)
            self.kept[caption] = self.encoder(ids)[0].to(torch.bfloat16)
        return self.kept[caption]
