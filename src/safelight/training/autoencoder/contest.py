"""The contest of two networks: one learns to tell pictures from reconstructions, the other to make it err.

Both learn in one step, of one loss: the gradient of the autoencoder's part is taken with respect to the reconstruction
alone, so that it leaves the discriminator as it is; and the discriminator sees the reconstruction as a given picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import grad

from safelight.training.autoencoder.discriminator import Discriminator, hinge_loss
from safelight.training.autoencoder.settings import DiscriminatorConfig
from safelight.training.engine.gathering import gathered

DELTA = 1e-6  # keeps the ratio finite (Esser et al. 2021, equation 7)
TINY = 1e-30  # keeps a gradient of zeros from being divided by its length


@dataclass(frozen=True)
class Contest:
    """What the contest adds to a step. loss: of both sides together. figures: what the log says of them; scalars."""

    loss: Tensor
    figures: dict[str, Tensor]


def contest(
    discriminator: Discriminator,
    settings: DiscriminatorConfig,
    *,
    image: Tensor,
    reconstruction: Tensor,
    error: Tensor,
    last_layer: Tensor,
) -> Contest:
    """The loss of autoencoder and discriminator against each other.

    image, reconstruction: (b, 3, h, w). error: the scalar that the autoencoder minimises otherwise, a function of
    `reconstruction`. last_layer: the weights that made the reconstruction last.
    """
    given = reconstruction.detach().requires_grad_()
    of_made = discriminator(given).float()
    # of the sum and not of the mean, so that half precision does not lose it
    (towards_real,) = grad(-of_made.sum(), given, retain_graph=True)
    towards_real = towards_real / of_made.numel()
    (towards_image,) = grad(error, reconstruction, retain_graph=True)
    weight = adaptive_weight(reconstruction, last_layer, towards_image, towards_real).clamp(max=settings.most)
    adversarial = with_gradient(-of_made.mean().detach(), reconstruction, towards_real)
    hinge = hinge_loss(discriminator(image).float(), of_made)
    return Contest(
        loss=settings.weight * weight * adversarial + hinge,
        figures={"adversarial": adversarial, "discriminator": hinge, "adaptive_weight": weight},
    )


def adaptive_weight(reconstruction: Tensor, last_layer: Tensor, towards_image: Tensor, towards_real: Tensor) -> Tensor:
    """How many times stronger the first pull on the last layer is than the second (Esser et al. 2021, equation 7).

    towards_image, towards_real: the gradients (b, 3, h, w) of two losses with respect to the reconstruction.
    """
    pulls = [_pull(reconstruction, last_layer, gradient) for gradient in (towards_image, towards_real)]
    return pulls[0] / (pulls[1] + DELTA)


def with_gradient(value: Tensor, of: Tensor, gradient: Tensor) -> Tensor:
    """The scalar `value`, whose gradient with respect to `of` is the one that is given."""
    return value + ((of - of.detach()) * gradient).sum()


def _pull(reconstruction: Tensor, last_layer: Tensor, gradient: Tensor) -> Tensor:
    """The length of the last layer's gradient, from that of the reconstruction; of all processes' batches together."""
    length = torch.linalg.vector_norm(gradient).clamp_min(TINY)
    # brought to length 1 on the way, so that half precision does not lose it
    (through,) = grad(reconstruction, last_layer, gradient / length, retain_graph=True)
    together = gathered((through.float() * length)[None]).mean(dim=0)
    return torch.linalg.vector_norm(together)
