"""How one foreign tensor holds the numbers of one or more of ours: fused, reshaped or transposed.

Both ways are views wherever the order of the numbers in memory allows it. What is unpacked stands in memory in its own
order: multiplied from another, a matrix gives other last bits, and a file would draw otherwise than its folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Packing:
    """One way of packing.

    heads: the rows of several matrices stand together head by head, not matrix by matrix (the fused queries, keys and
    values of Dhariwal & Nichol 2021's first attention). trailing: sizes of 1 that follow a matrix, as of a 1x1
    convolution. transposed: a matrix stands with its columns as rows.
    """

    heads: int = 1
    trailing: int = 0
    transposed: bool = False

    def pack(self, tensors: Sequence[Tensor]) -> Tensor:
        """Ours, in order -> theirs."""
        packed = tensors[0] if len(tensors) == 1 else self._together(tensors)
        if packed.ndim != 2:
            return packed
        packed = packed.T if self.transposed else packed
        return packed.reshape(*packed.shape, *[1] * self.trailing)

    def unpack(self, tensor: Tensor, count: int) -> list[Tensor]:
        """Theirs -> ours: `count` tensors. Its shape must be what `pack` makes of theirs."""
        if tensor.ndim >= 2:
            tensor = tensor.reshape(tensor.shape[: tensor.ndim - self.trailing])
            tensor = tensor.T.contiguous() if self.transposed else tensor
        if count == 1:
            return [tensor]
        rows = tensor.reshape(self.heads, count, -1, *tensor.shape[1:])
        return [rows[:, place].flatten(0, 1) for place in range(count)]

    def _together(self, tensors: Sequence[Tensor]) -> Tensor:
        rows = [tensor.reshape(self.heads, -1, *tensor.shape[1:]) for tensor in tensors]
        return torch.stack(rows, dim=1).flatten(0, 2)


PLAIN = Packing()
POINTWISE = Packing(trailing=2)  # a linear layer, written as a convolution of 1x1
