"""A class beside the noisy latent: told to the UNet itself, or read by its cross-attention.

By the UNet's own table: Dhariwal & Nichol 2021, section 4; by a class embedder: Rombach et al. 2022, section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from safelight.data.record import Record
from safelight.diffusion.conditioning import Conditioning
from safelight.errors import BadInput
from safelight.training.diffusion.learner import Learner
from safelight.training.diffusion.views import View
from safelight.training.engine.disk import writing
from safelight.weights import Parts
from safelight.weights.files import beside


class ClassNames:
    """The classes of a collection by their numbers.

    Where all samples give numbers, these are the classes'; where they give words, each word has its place among all of
    them in alphabetical order. Raises BadInput where a sample gives neither in the field of that name.
    """

    def __init__(self, records: Sequence[Record], field: str) -> None:
        self.field = field
        for record in records:
            label = record.fields.get(field)
            if isinstance(label, bool) or not isinstance(label, int | str) or label == "" or label in range(-1, -9, -1):
                raise BadInput(
                    f"Sample {record.key!r} has {field} = {label!r}; its class must be a word, or a number that is not "
                    "negative (data.label_field says in which field it stands)."
                )
        labels = {record.fields[field] for record in records}
        self.names: list[str] = []
        if any(isinstance(label, str) for label in labels):
            self.names = sorted({str(label) for label in labels})
        self.numbers = {name: number for number, name in enumerate(self.names)}
        self.count = len(self.names) or 1 + max(labels)

    def number(self, record: Record) -> int:
        """The class of a record."""
        label = record.fields[self.field]
        return self.numbers[str(label)] if self.names else int(label)

    def write(self, path: Path) -> None:
        """Write the words, one a line in the order of their numbers from 0; raises BadInput where the disk refuses."""
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as partial:
            partial.write_text("".join(f"{name}\n" for name in self.names), "utf-8")


class ShownClass:
    """A class; where a table of vectors has a last one for no class, sometimes that one, for guidance to compare with.

    Raises BadInput where the model knows fewer classes than the collection has.
    """

    def __init__(self, parts: Parts, names: ClassNames, dropout: float) -> None:
        table = parts.class_embedder
        self.classes = parts.unet.config.classes if table is None else table.config.classes - 1
        self.dropout = 0.0 if table is None else dropout
        self.names = names
        if names.count > self.classes:
            raise BadInput(
                f"The field {names.field!r} holds {names.count} classes, and the model knows {self.classes}; a table "
                "needs one entry for each, and a class embedder one more, for none."
            )

    def entries(self, view: View, random: Random) -> dict[str, Any]:
        """The class, or the number that stands for none."""
        dropped = random.random() < self.dropout
        return {"label": self.classes if dropped else self.names.number(view.record)}

    def fixed_entries(self, view: View) -> dict[str, Any]:
        """The class."""
        return {"label": self.names.number(view.record)}

    def conditioning(self, batch: Mapping[str, Any], learner: Learner) -> Conditioning:
        """The label, or its vector, which is learnt."""
        label = batch["label"].to(next(learner.network.parameters()).device)
        table = learner.parts.class_embedder
        return Conditioning(label=label) if table is None else Conditioning(context=table(label))

    def request(self, view: View) -> dict[str, Any]:
        """The class."""
        return {"class_label": self.names.number(view.record)}
