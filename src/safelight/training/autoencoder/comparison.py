"""What a painted picture is worth: its error beside the given picture, and the contest with a discriminator."""

from __future__ import annotations

from torch import Tensor, nn

from safelight.training.autoencoder.contest import contest
from safelight.training.autoencoder.discriminator import Discriminator
from safelight.training.autoencoder.perceptual import PERCEPTUAL
from safelight.training.autoencoder.reconstruction import reconstruction_loss
from safelight.training.autoencoder.settings import ComparisonConfig


class Comparison:
    """The terms of the loss that the settings ask for; the discriminator, where there is one, learns beside."""

    def __init__(self, settings: ComparisonConfig) -> None:
        self.settings = settings
        self.perceptual = PERCEPTUAL[settings.perceptual](settings)
        self.discriminator = Discriminator(settings.discriminator) if settings.discriminator.weight else None

    def learning_with(self, painter: nn.Module, name: str) -> nn.Module:
        """All that learns, in one network; a painter that learns alone keeps its weights' names in checkpoints."""
        if self.discriminator is None:
            return painter
        return nn.ModuleDict({name: painter, "discriminator": self.discriminator})

    def terms(
        self, painted: Tensor, image: Tensor, last_layer: Tensor, step: int, cost: Tensor | float = 0.0
    ) -> dict[str, Tensor]:
        """Both pictures (b, 3, h, w) -> scalars by name: `loss`, and what it is made of.

        last_layer: the weights that painted last. step: from 0; the discriminator begins at one of them. cost: what is
        added to the error without being compared.
        """
        settings = self.settings
        error = reconstruction_loss(
            painted,
            image,
            absolute_weight=settings.absolute_weight,
            square_weight=settings.square_weight,
            edge_weight=settings.edge_weight,
        )
        figures = {"reconstruction": error}
        if settings.perceptual != "none":
            figures["perceptual"] = self.perceptual(painted, image)
            error = error + settings.perceptual_weight * figures["perceptual"]
        total = error + cost
        if self.discriminator is not None and step >= settings.discriminator.start:
            against = contest(
                self.discriminator,
                settings.discriminator,
                image=image,
                reconstruction=painted,
                error=error,
                last_layer=last_layer,
            )
            total, figures = total + against.loss, figures | against.figures
        return {"loss": total, **figures}
