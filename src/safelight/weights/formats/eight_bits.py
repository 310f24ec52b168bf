"""Matrices in eight bits: whole numbers from -127 to 127, and beside them what one step is worth in each row.

A quarter of the bytes of float32. Each row's largest number is kept, and the others to half a step, 0.4 % of it
(symmetric, by output channel: Krishnamoorthi 2018, section 3.1). Only storage: in memory they are of the type that the
biases beside them have.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

STEPS = ".row_steps"  # what a matrix's name has behind it where its steps stand
LARGEST = 127
FEWEST = 4096  # a smaller matrix stays as it is: it costs nothing, and the first and the last layer are among them
HALF = torch.finfo(torch.float16).max


def pack_rows(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each matrix, of two dimensions or more, as int8 (the same shape) and its rows' steps (rows,) float32.

    What is none, is small, or holds numbers that float16 has not stays as it is.
    """
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        packed[name] = tensor
        if tensor.is_floating_point() and tensor.ndim >= 2 and tensor.numel() >= FEWEST:
            rows = tensor.flatten(1).float()
            largest = rows.abs().amax(1)
            if largest.max() <= HALF:  # not so of what is no number
                steps = largest / LARGEST
                # A row of zeros has no step; anything divides it.
                packed[name] = (rows / steps.where(steps > 0, 1.0)[:, None]).round().to(torch.int8).view(tensor.shape)
                packed[name + STEPS] = steps
    return packed


def unpack_rows(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The matrices again, of the type of the other numbers; float16 where there are none.

    What is no pair of a matrix and its steps is left for others to complain of.
    """
    unpacked = dict(tensors)
    others = (each.dtype for name, each in tensors.items() if each.is_floating_point() and not name.endswith(STEPS))
    dtype = next(others, torch.float16)
    for name in [name for name in tensors if name.endswith(STEPS)]:
        steps, matrix = tensors[name], tensors.get(name.removesuffix(STEPS))
        if matrix is not None and matrix.dtype == torch.int8 and steps.shape == matrix.shape[:1]:
            unpacked[name.removesuffix(STEPS)] = (matrix.flatten(1) * steps[:, None]).to(dtype).view(matrix.shape)
            del unpacked[name]
    return unpacked
