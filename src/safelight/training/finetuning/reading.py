"""Captions as the UNet reads them, by a text encoder that learns, or through which something learns."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from safelight.weights import Parts


def read_with_gradients(parts: Parts, captions: Sequence[str]) -> Tensor:
    """(b, n, width), computed anew each time, on the device of the text encoder."""
    tokenizer, encoder = parts.reader
    ids = tokenizer(captions).ids.to(next(encoder.parameters()).device)
    hidden: Tensor = encoder(ids)
    return hidden
