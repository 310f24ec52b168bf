"""Rows that all processes hold together, with gradients: what a loss that compares the samples of a batch needs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def gathered(rows: Tensor) -> Tensor:
    """The rows of all processes, in the order of the batch: (b, ...) of each -> (b * processes, ...); alone, `rows`.

    Where each process then computes the whole batch's loss, the mean of its gradients over the processes, which is what
    the loop takes, is the gradient of that loss. All processes must call it, with as many rows each.
    """
    if not distributed.is_available() or not distributed.is_initialized():
        return rows
    everything: Tensor = _Gathered.apply(rows)
    return everything


class _Gathered(torch.autograd.Function):
    """Forward, every process gets all rows; backward, each row the sum of what it is to all of them."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        rows = rows.contiguous()
        ctx.count = len(rows)
        parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous().clone()
        distributed.all_reduce(gradient)
        first = distributed.get_rank() * ctx.count
        return gradient[first : first + ctx.count]
