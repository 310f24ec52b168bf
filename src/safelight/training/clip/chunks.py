"""Gradients of a batch whose activations do not fit in memory (Gao et al. 2021, "gradient caching").

A contrastive loss compares all samples of a batch, so that many small batches are not one large one. But it sees only
their embeddings: those of the whole batch are kept, the activations that led to them are not, and are computed again,
chunk by chunk, when the loss goes backward. The gradients are those of the whole batch; the price is a second forward.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def in_chunks(embed: Callable[..., Tensor], at_once: int, *inputs: Tensor) -> Tensor:
    """`embed` of the inputs, (b, ...) each, with the activations of `at_once` samples in memory; 0 means of all.

    Returns (b, d). `embed` must draw no random numbers.
    """
    if not at_once or at_once >= len(inputs[0]):
        return embed(*inputs)
    parts = zip(*(each.split(at_once) for each in inputs), strict=True)
    return torch.cat([checkpoint(embed, *part, use_reentrant=False, preserve_rng_state=False) for part in parts])
