"""LoRA: low-rank updates of a network's linear layers and convolutions (Hu et al. 2021, section 4.1).

h = W x + (alpha / r) B A x, equation 3 there, with A the `down` matrix and B the `up` matrix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from safelight.errors import BadCheckpoint

LISTED = 1000
Layer = nn.Linear | nn.Conv2d
Part = Literal["unet", "text_encoder"]
Place = tuple[Part, str]  # and our name of a layer


@dataclass(frozen=True, kw_only=True, eq=False)
class Update:
    """The update of one layer.

    down: (r, in), or (r, in, h, w) for a convolution. up: (out, r), or (out, r, 1, 1). middle: (r, r, h, w) between a
    1 x 1 down and up, which is the convolution's CP decomposition, or None. alpha: None means r, a scale of 1.
    Raises BadCheckpoint where the tensors do not fit each other.
    """

    down: Tensor
    up: Tensor
    alpha: float | None = None
    middle: Tensor | None = None

    def __post_init__(self) -> None:
        tensors = [self.down, self.up, *([] if self.middle is None else [self.middle])]
        shapes = " and ".join(_shown(tuple(tensor.shape)) for tensor in tensors)
        if not all(tensor.is_floating_point() for tensor in tensors):
            raise BadCheckpoint(f"its numbers are {', '.join(str(tensor.dtype) for tensor in tensors)}, not floats")
        if any(tensor.dim() not in (2, 4) for tensor in tensors) or self.up.shape[2:].numel() != 1:
            raise BadCheckpoint(f"it is {shapes}; down must be r x in (x h x w) and up out x r (x 1 x 1)")
        if self.rank < 1 or self.up.shape[1] != self.rank:
            raise BadCheckpoint(f"down and up are {shapes}, which do not have the same rank")
        if self.middle is not None and (
            self.middle.shape[:2] != (self.rank, self.rank) or self.down.shape[2:].numel() != 1
        ):
            raise BadCheckpoint(f"down, up and middle are {shapes}, which do not fit each other")

    @property
    def rank(self) -> int:
        """r, the width between down and up."""
        return self.down.shape[0]

    @property
    def scale(self) -> float:
        """alpha / r."""
        return 1.0 if self.alpha is None else self.alpha / self.rank

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight that it updates; (1, 1) at the end is left out, for a 1 x 1 convolution is linear."""
        kernel = tuple((self.down if self.middle is None else self.middle).shape[2:])
        return (self.up.shape[0], self.down.shape[1], *(kernel if kernel != (1, 1) else ()))

    def delta(self) -> Tensor:
        """(alpha / r) B A in float32: (out, in) or (out, in, h, w)."""
        down, up = self.down.float(), self.up.float().flatten(1)
        if self.middle is None:
            return self.scale * (up @ down.flatten(1)).reshape(self.shape)
        product = torch.einsum("o r, r s h w, s i -> o i h w", up, self.middle.float(), down.flatten(1))
        return self.scale * product.reshape(self.shape)

    def through(self, layer: Layer, x: Tensor) -> Tensor:
        """(alpha / r) B A x, as `layer` reads its input: what the layer's output grows by."""
        down, up = self.down.to(x), self.up.to(x)
        if isinstance(layer, nn.Linear):
            return self.scale * functional.linear(functional.linear(x, down.flatten(1)), up.flatten(1))
        kernels = [tensor if tensor.dim() == 4 else tensor[:, :, None, None] for tensor in (down, up)]
        if self.middle is None:
            h = functional.conv2d(x, kernels[0], None, layer.stride, layer.padding, layer.dilation)
        else:
            h = functional.conv2d(x, kernels[0])
            h = functional.conv2d(h, self.middle.to(x), None, layer.stride, layer.padding, layer.dilation)
        return self.scale * functional.conv2d(h, kernels[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class LoRA:
    """Updates of a UNet and of a text encoder, by our names of the layers.

    name: what errors call it. keys: how the file calls a layer; our name stands in for one that is absent.
    metadata: what its maker wrote beside the tensors.
    """

    unet: Mapping[str, Update] = field(default_factory=dict)
    text_encoder: Mapping[str, Update] = field(default_factory=dict)
    name: str = "LoRA"
    keys: Mapping[Place, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def updates(self) -> dict[Part, Mapping[str, Update]]:
        """The updates of each network."""
        return {"unet": self.unet, "text_encoder": self.text_encoder}


def weight_shape(layer: Layer) -> tuple[int, ...]:
    """The shape of a layer's weight, as `Update.shape` has it."""
    shape = tuple(layer.weight.shape)
    return shape[:2] if shape[2:] == (1, 1) else shape


def listed(names: Iterable[str]) -> str:
    """Names as a message spells them out: all of a LoRA's, but not all of a whole checkpoint's, given by mistake."""
    ordered = sorted(names)
    rest = f", and {len(ordered) - LISTED} more" if len(ordered) > LISTED else ""
    return "; ".join(ordered[:LISTED]) + rest


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
