"""What a UNet that does not learn predicts, in whatever precision its weights are kept."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from safelight.diffusion.conditioning import Conditioning
from safelight.training.diffusion.learner import unet_prediction
from safelight.training.finetuning.start import dtype_of
from safelight.weights import Parts


def frozen_prediction(parts: Parts, latent: Tensor, timestep: Tensor, shown: Conditioning) -> Tensor:
    """(b, c, h, w), (b,) int64 -> (b, c, h, w); gradients pass through to what is attached to the UNet."""
    dtype = dtype_of(parts)
    ways = {way.name: getattr(shown, way.name) for way in fields(Conditioning)}
    cast = {name: _in(dtype, tensor) for name, tensor in ways.items() if tensor is not None}
    return unet_prediction(parts, latent.to(dtype), timestep, Conditioning(**cast))


def _in(dtype: torch.dtype, tensor: Tensor) -> Tensor:
    """Numbers of a class stay whole."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
