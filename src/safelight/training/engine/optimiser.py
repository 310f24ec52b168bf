"""The optimisers by name: AdamW (Loshchilov & Hutter 2019), the same with its two moments in 8 bits, and Muon."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW, Optimizer

from safelight.errors import BadInput
from safelight.training.engine.muon import Muon
from safelight.training.engine.settings import LoopConfig


def optimiser_for(network: nn.Module, config: LoopConfig) -> Optimizer:
    """The one that `loop.optimiser` names; raises BadInput where it needs what is not there."""
    return OPTIMISERS[config.optimiser](network, config)


def adamw(network: nn.Module, config: LoopConfig) -> Optimizer:
    """PyTorch's, in one kernel."""
    return AdamW(
        network.parameters(),
        lr=config.learning_rate,
        betas=(0.9, config.beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )


def adamw_in_8_bits(network: nn.Module, config: LoopConfig) -> Optimizer:
    """That of bitsandbytes (Dettmers et al. 2022, "8-bit optimizers via block-wise quantization")."""
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise BadInput(
            "loop.optimiser is \"adamw8bit\", which needs bitsandbytes: pip install 'safelight[eightbit]'; "
            '"adamw" needs nothing more.'
        ) from error
    optimiser: Optimizer = AdamW8bit(
        network.parameters(), lr=config.learning_rate, betas=(0.9, config.beta2), weight_decay=config.weight_decay
    )
    return optimiser


def muon(network: nn.Module, config: LoopConfig) -> Optimizer:
    """Ours, for the matrices; AdamW for the rest."""
    return Muon(network, config.learning_rate, (0.9, config.beta2), config.weight_decay)


OPTIMISERS = {"adamw": adamw, "adamw8bit": adamw_in_8_bits, "muon": muon}
LAYING_OUT = ("adamw8bit",)  # what makes all weights contiguous in its first step, so that they had better begin so
