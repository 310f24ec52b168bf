"""The last convolution of a decoder, fitted to whole pictures in closed form.

What a decoder paints is linear in the weights of its last layer, so with all else held still the best ones need no
steps: they solve the normal equations of a ridge regression (Hoerl & Kennard 1970) that is pulled towards the weights
that are there. In training the norms see crops; here they see whole pictures, as in use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

RIDGE = 0.01  # of the mean square of the layer's inputs: how strongly the weights are held where they are
PIXELS = 16384  # of each picture, drawn by lot, that are counted

Paint = Callable[[Tensor], Tensor]  # a latent (1, c, h, w) -> what the decoder makes of it (1, 3, f h, f w)


@torch.no_grad()
def fitted(
    layer: nn.Conv2d, gain: float, paint: Paint, pairs: Iterable[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """The weight (3, c, k, k) and the bias (3,) with which the pictures come nearest, in the mean square.

    layer: of stride 1, with a bias, padded to keep the size. gain: how much of what it gives is painted. pairs: of a
    latent (c, h, w) and the picture (3, f h, f w) in [-1, 1] that is meant. Pixels that are white or black and are
    painted beyond that count for nothing, since they are cut off there.
    """
    assert layer.bias is not None and isinstance(layer.padding, tuple)
    size = layer.weight[0].numel() + 1
    device = layer.weight.device
    squares = torch.zeros(3, size, size, dtype=torch.float64, device=device)
    products = torch.zeros(3, size, dtype=torch.float64, device=device)
    seen: list[Tensor] = []
    catch = layer.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    try:
        for number, (latent, image) in enumerate(pairs):
            painted = paint(latent[None].to(device))[0].flatten(1)
            inputs = functional.unfold(seen.pop().float(), layer.kernel_size, padding=layer.padding)[0]
            lot = torch.randperm(inputs.shape[1], generator=torch.Generator().manual_seed(number))[:PIXELS].to(device)
            inputs = functional.pad(inputs[:, lot], (0, 0, 0, 1), value=1.0)  # what the bias is multiplied with
            wanted, painted = image.to(device).flatten(1)[:, lot], painted[:, lot]
            cut_off = (wanted.abs() == 1) & (painted * wanted > 1)
            for channel, counts in enumerate(~cut_off):
                x = inputs[:, counts]
                squares[channel] += (x @ x.T).double()
                products[channel] += (x @ (wanted - painted)[channel, counts]).double()
    finally:
        catch.remove()
    held = RIDGE * squares.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-9)  # no pixel of a channel may count
    squares.diagonal(dim1=1, dim2=2).add_(held[:, None])
    change = torch.linalg.solve(squares, products).to(layer.weight.dtype) / gain
    return layer.weight + change[:, :-1].reshape_as(layer.weight), layer.bias + change[:, -1]
