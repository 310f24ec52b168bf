"""Which published models a set of configurations may be.

Some settings leave no trace in the shapes of tensors; two networks that differ only in those look alike. What was
guessed of them is replaced by what was published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from safelight.catalog import CATALOG, PublishedModel
from safelight.configs import UNetConfig

HIDDEN: dict[str, frozenset[str]] = {
    "UNetConfig": frozenset({"heads", "groups", "norm_epsilon", "sample_size", "sine_first", "frequency_shift"}),
    "AutoencoderConfig": frozenset({"groups", "scale"}),
    "TextEncoderConfig": frozenset({"heads", "activation", "norm_epsilon", "projection_width"}),
    "BertConfig": frozenset({"heads", "head_width"}),
    "ImageEncoderConfig": frozenset({"heads", "activation", "norm_epsilon"}),
    "RescalerConfig": frozenset({"stages"}),
}
OF_TRANSFORMERS = frozenset({"context_width", "transformer_depth", "projection"})  # idle in a UNet without any
COMPARED = ("unet", "autoencoder", "text_encoder", "class_embedder", "rescaler", "image_encoder")


def alike(one: Any, other: Any) -> bool:
    """Whether two configurations give tensors of the same shapes."""
    if type(one) is not type(other):
        return False
    hidden = HIDDEN.get(type(one).__name__, frozenset())
    if isinstance(one, UNetConfig) and not one.reads_context:
        hidden |= OF_TRANSFORMERS
    names = [field.name for field in fields(one) if field.name not in hidden]
    return all(getattr(one, name) == getattr(other, name) for name in names)


def rows_like(configs: Mapping[str, Any]) -> tuple[PublishedModel, ...]:
    """The published models that have all these parts, by slot, in these shapes."""
    compared = {slot: config for slot, config in configs.items() if slot in COMPARED}
    if not compared:
        return ()
    return tuple(row for row in CATALOG if all(alike(getattr(row, slot), config) for slot, config in compared.items()))


def as_published(slot: str, config: Any, rows: Iterable[PublishedModel]) -> Any:
    """The configuration with the hidden settings of the first published model that has its shape, or as it is."""
    together = next(iter(rows), None) or next(iter(rows_like({slot: config})), None)
    return config if together is None or slot not in COMPARED else getattr(together, slot)
