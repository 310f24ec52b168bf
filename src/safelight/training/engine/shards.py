"""Tensors that lie spread over several processes (PyTorch's DTensor, as FSDP leaves them), and all others alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor, distributed

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_spread(tensor: Tensor) -> TypeGuard[DTensor]:
    """Whether this process holds only a part of it."""
    if not distributed.is_available() or not distributed.is_initialized():
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def own_part(tensor: Tensor) -> Tensor:
    """What lies in this process; changing it in place changes the tensor."""
    part = tensor.detach()
    return part.to_local() if is_spread(part) else part


def whole(tensor: Tensor) -> Tensor:
    """All of it. Every process must ask, in the same order."""
    full = tensor.detach()
    return full.full_tensor() if is_spread(full) else full


def laid_out_like(model: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor, of the shape of `model`, on the device, in the order in memory and spread as that is."""
    if not is_spread(model):
        return torch.empty_like(model, dtype=tensor.dtype).copy_(tensor).detach()
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements, src_data_rank=None)
