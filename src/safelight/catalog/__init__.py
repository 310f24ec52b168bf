"""The published models: one row each, with the shape of every part and how many parameters it must have."""

from __future__ import annotations

from safelight.catalog.latent_diffusion import LATENT_DIFFUSION
from safelight.catalog.published_model import AnyTextConfig, PublishedModel
from safelight.catalog.stable_diffusion import STABLE_DIFFUSION
from safelight.errors import unknown_name

__all__ = ["CATALOG", "AnyTextConfig", "PublishedModel", "published"]

CATALOG: tuple[PublishedModel, ...] = (*STABLE_DIFFUSION, *LATENT_DIFFUSION)


def published(name: str) -> PublishedModel:
    """The row of one name; raises BadInput with the nearest name that there is."""
    for model in CATALOG:
        if model.name == name:
            return model
    raise unknown_name("Model", name, (model.name for model in CATALOG))
