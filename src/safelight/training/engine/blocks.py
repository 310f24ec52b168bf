"""The blocks that networks are made of: what is recomputed, compiled and spread over processes piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from safelight.layers.attention import SpatialSelfAttention
from safelight.layers.residual import ResidualBlock
from safelight.text.bert import BertLayer
from safelight.text.transformer import EncoderLayer
from safelight.unet.transformer import TransformerBlock

BLOCKS = (ResidualBlock, SpatialSelfAttention, TransformerBlock, EncoderLayer, BertLayer)  # none holds another


def blocks_of(network: nn.Module) -> Iterator[nn.Module]:
    """All blocks of a network."""
    return (module for module in network.modules() if isinstance(module, BLOCKS))


def recompute_blocks(network: nn.Module) -> None:
    """Keep only what goes into each block on the way forward, and compute the rest again on the way back.

    Chen et al. 2016, "Training deep nets with sublinear memory cost". The gradients are the same; names are, too.
    """
    for block in blocks_of(network):
        if not isinstance(block.forward, _Recomputed):
            block.forward = _Recomputed(block.forward)


def compile_blocks(network: nn.Module) -> None:
    """Let torch.compile translate every block: blocks alike are translated once, and minutes less than a whole network.

    Blocks are reached by whatever method of the network is called. Names stay as they are.
    """
    found = list(blocks_of(network))
    config = torch._dynamo.config  # the limit is for each method: blocks of one class with other shapes count together
    config.recompile_limit = max(config.recompile_limit, 4 * len(found))
    for block in found:
        block.compile(dynamic=False)


class _Recomputed:
    """A forward method that forgets; an object, so that networks can still be copied."""

    def __init__(self, forward: Any) -> None:
        self.forward = forward

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return self.forward(*inputs, **named)
        return checkpoint(self.forward, *inputs, use_reentrant=False, preserve_rng_state=False, **named)
