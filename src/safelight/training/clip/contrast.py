"""What CLIP minimises: the captions of a batch are to be told from each other by its pictures, and the other way round.

Two losses, each a CLIP with what that loss learns beside the encoders. The names of all other weights are the same.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from safelight.configs import ImageEncoderConfig, TextEncoderConfig
from safelight.text import CLIP
from safelight.weights.empty import without_weights

LARGEST_SCALE = 100.0  # Radford et al. 2021, section 2.5: keeps the loss from running away
FIRST_SCALE, FIRST_BIAS = 10.0, -10.0  # Zhai et al. 2023, section 3.2: nearly all pairs are wrong, and count as such


def softmax_loss(images: Tensor, texts: Tensor, log_scale: Tensor) -> Tensor:
    """Symmetric cross-entropy over all pairs of a batch (Radford et al. 2021, figure 3).

    images, texts: (b, d) of length 1, row i of both belonging together. Returns a scalar. A caption that stands twice
    in the batch does no harm: the gradients are those of an even choice between its pictures.
    """
    logits = log_scale.exp().clamp(max=LARGEST_SCALE) * images @ texts.T
    own = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def sigmoid_loss(images: Tensor, texts: Tensor, log_scale: Tensor, bias: Tensor, caption: Tensor) -> Tensor:
    """Whether a picture and a caption belong together, asked of each pair by itself (Zhai et al. 2023, equation 1).

    images, texts: (b, d) of length 1. caption: (b,) the number of each row's caption; pairs with the same are right,
    where the paper, which has no caption twice, takes the diagonal. Returns the sum over all pairs, divided by b.
    """
    logits = log_scale.exp().clamp(max=LARGEST_SCALE) * images @ texts.T + bias
    sign = 2 * (caption[:, None] == caption).to(logits.dtype) - 1
    return -functional.logsigmoid(sign * logits).sum() / len(logits)


class SoftmaxCLIP(CLIP):
    """CLIP with the loss of its paper."""

    def contrast(self, images: Tensor, texts: Tensor, ids: Tensor) -> dict[str, Tensor]:
        """The loss and what it learns: (b, d) both, and the (b, n) token ids of the captions -> scalars by name."""
        return {"loss": softmax_loss(images, texts, self.log_scale), "scale": self.log_scale.exp()}


class SigmoidCLIP(CLIP):
    """CLIP with the sigmoid loss, and the bias that it learns; no other program's CLIP has a place for that."""

    def __init__(self, text: TextEncoderConfig, image: ImageEncoderConfig) -> None:
        super().__init__(text, image)
        nn.init.constant_(self.log_scale, math.log(FIRST_SCALE))
        self.bias = nn.Parameter(torch.tensor(FIRST_BIAS))

    def contrast(self, images: Tensor, texts: Tensor, ids: Tensor) -> dict[str, Tensor]:
        """The loss and what it learns: (b, d) both, and the (b, n) token ids of the captions -> scalars by name."""
        caption = ids.unique(dim=0, return_inverse=True)[1]
        loss = sigmoid_loss(images, texts, self.log_scale, self.bias, caption)
        return {"loss": loss, "scale": self.log_scale.exp(), "bias": self.bias.clone()}


CONTRASTS: dict[str, type[SoftmaxCLIP | SigmoidCLIP]] = {"softmax": SoftmaxCLIP, "sigmoid": SigmoidCLIP}


def plain(network: CLIP) -> CLIP:
    """The same weights as a CLIP that knows of no loss: what is exported."""
    with without_weights():
        clip = CLIP(network.text.config, network.image.config)
    tensors = network.state_dict()
    clip.load_state_dict({name: tensors[name] for name in clip.state_dict()}, assign=True)
    return clip
