"""Group normalisation (Wu & He 2018) whose backward pass is fast on the CPU as well."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _ContiguousBackward(torch.autograd.Function):
    """Group normalisation that goes backward in the contiguous layout.

    PyTorch's own backward kernel is several times slower for channels-last tensors on the CPU, which is the layout in
    which convolutions are fastest; two copies cost less than it does (benchmarks/training_step.py).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, epsilon: float) -> Tensor:
        batch, channels = x.shape[:2]
        positions = x[0, 0].numel()
        y, mean, reciprocal = torch.native_group_norm(x, weight, bias, batch, channels, positions, groups, epsilon)
        ctx.save_for_backward(x, weight, mean, reciprocal)
        ctx.groups = groups
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, reciprocal = ctx.saved_tensors
        batch, channels = x.shape[:2]
        positions = x[0, 0].numel()
        of_x, of_weight, of_bias = torch.ops.aten.native_group_norm_backward(
            gradients[0].contiguous(),
            x.contiguous(),
            mean,
            reciprocal,
            weight,
            batch,
            channels,
            positions,
            ctx.groups,
            [True, True, True],
        )
        return of_x.contiguous(memory_format=torch.channels_last), of_weight, of_bias, None, None


class GroupNorm(nn.GroupNorm):
    """`nn.GroupNorm`, with a faster way back where it trains on the CPU in channels-last layout."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        slow_backward = (
            torch.is_grad_enabled()
            and x.device.type == "cpu"
            and x.dim() == 4
            and not x.is_contiguous()
            and x.is_contiguous(memory_format=torch.channels_last)
            and (len(x) > 1 or x.stride(0) == x.numel())  # a single picture may lie so and not look so to the kernel
            and not torch.compiler.is_compiling()
        )
        if slow_backward:
            return _ContiguousBackward.apply(x, self.weight, self.bias, self.num_groups, self.eps)
        return super().forward(x)
