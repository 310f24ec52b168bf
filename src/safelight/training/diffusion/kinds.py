"""Every kind of model that can be trained, by the name that `Parts.task` gives: what it is shown, and of which data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from safelight.conditioning.hole import BLACK, GREY, beside_nothing, beside_text
from safelight.configs import TaskName
from safelight.data.collection import check_captions
from safelight.data.record import Record
from safelight.errors import BadInput
from safelight.text import BertEncoder
from safelight.training.diffusion.settings import READING, DiffusionDataConfig
from safelight.training.diffusion.shown import Nothing, Shown, ShownText, Together
from safelight.training.diffusion.shown.boxes import ShownBoxes
from safelight.training.diffusion.shown.hole import ShownHole, most_likely, sampled
from safelight.training.diffusion.shown.labels import ClassNames, ShownClass
from safelight.training.diffusion.shown.map import ShownMap
from safelight.training.diffusion.shown.picture import ShownDepth, ShownInstruction
from safelight.training.diffusion.shown.small_picture import ShownDegraded, ShownNoisySmall
from safelight.weights import Parts

Show = Callable[[Parts, DiffusionDataConfig, Sequence[Record]], Shown]


@dataclass(frozen=True, kw_only=True)
class KindOfModel:
    """One kind.

    show: how its condition is made of a collection. companion: the other picture that each sample must have, if any.
    """

    show: Show
    companion: str | None = None


def with_text(data: DiffusionDataConfig, other: Shown) -> Shown:
    """Text, and something joined to the latent."""
    return Together(ShownText(data), other)


def hole_and_text(parts: Parts, data: DiffusionDataConfig, records: Sequence[Record]) -> Shown:
    """As Stable Diffusion's inpainting models."""
    return with_text(data, ShownHole(parts.autoencoder, GREY, sampled, beside_text))


def hole(parts: Parts, data: DiffusionDataConfig, records: Sequence[Record]) -> Shown:
    """As the paper's own inpainting model."""
    return ShownHole(parts.autoencoder, BLACK, most_likely, beside_nothing)


def boxes(parts: Parts, data: DiffusionDataConfig, records: Sequence[Record]) -> Shown:
    """As the paper's layout model."""
    assert isinstance(parts.text_encoder, BertEncoder)
    return ShownBoxes(parts.text_encoder.config, records)


def label_map(parts: Parts, data: DiffusionDataConfig, records: Sequence[Record]) -> Shown:
    """As the paper's model for semantic synthesis."""
    assert parts.rescaler is not None
    return ShownMap(parts.rescaler.config.in_channels)


def noisy_small_picture(parts: Parts, data: DiffusionDataConfig, records: Sequence[Record]) -> Shown:
    """As Stable Diffusion's x4 upscaler; raises BadInput for one without a noise law for the small picture."""
    law = parts.noise_schedule
    if law is None:
        raise BadInput("This model has no noise law for the small picture (low_res_scheduler).")
    return with_text(data, ShownNoisySmall(law, parts.autoencoder.config.factor, parts.unet.config.classes))


KINDS: dict[TaskName, KindOfModel] = {
    "text": KindOfModel(show=lambda parts, data, records: ShownText(data)),
    "unconditional": KindOfModel(show=lambda parts, data, records: Nothing()),
    "class": KindOfModel(
        show=lambda parts, data, records: ShownClass(parts, ClassNames(records, data.label_field), data.caption_dropout)
    ),
    "layout": KindOfModel(show=boxes),
    "semantic": KindOfModel(show=label_map, companion="map"),
    "inpainting": KindOfModel(show=hole_and_text),
    "filling": KindOfModel(show=hole),
    "instruction": KindOfModel(show=lambda parts, data, records: ShownInstruction(ShownText(data)), companion="before"),
    "depth": KindOfModel(show=lambda parts, data, records: with_text(data, ShownDepth()), companion="depth"),
    "upscaling": KindOfModel(show=noisy_small_picture),
    "restoration": KindOfModel(
        show=lambda parts, data, records: ShownDegraded(parts.autoencoder.config.factor),
    ),
}


def shown_of(parts: Parts, data: DiffusionDataConfig, records: Sequence[Record]) -> Shown:
    """What a model of these parts is shown of a collection.

    Raises BadInput for a kind of model that cannot be trained, and for samples that lack what its kind needs.
    """
    task = parts.task
    if task not in KINDS:
        raise BadInput(f"A model of the kind {task!r} cannot be trained; allowed: {', '.join(KINDS)}.")
    kind = KINDS[task]
    if task in READING:
        check_captions(records)
    if kind.companion is not None:
        lacking = [record.key for record in records if kind.companion not in record.others]
        if lacking:
            raise BadInput(
                f"{len(lacking)} of {len(records)} samples have no {kind.companion} picture, which a model of the kind "
                f"{task!r} is shown; the first is {lacking[0]!r}: put {lacking[0]}.{kind.companion}.png beside it."
            )
    return kind.show(parts, data, records)
