"""The classifier's training: cross-entropy for each head, on pictures varied so that it judges drawn ones well.

It learns beside the model that it judges and from the same pictures, so it knows the vocabulary of that model. Its
figures say how far it can be trusted: on training pictures, varied, and on held-out ones, which are other drawings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from safelight.configs import ClassifierConfig
from safelight.data.backdrop import on_colour
from safelight.data.captions import names_a_side
from safelight.data.collection import Record, fingerprint, split_up
from safelight.errors import BadInput
from safelight.evaluation.classifier import FOLDER, Classifier, save_classifier
from safelight.images import to_tensor
from safelight.training.classifier.settings import ClassifierDataConfig, ClassifierLossConfig, VariationConfig
from safelight.training.classifier.variation import WHITE, varied
from safelight.training.engine.noise import SampleNoise
from safelight.training.picture_cache import PictureCache

UNKNOWN = -1  # the label of a picture whose field is missing, or has a value that no training picture has
CAPTION = "caption"  # the name of a label that is no field: a sample's first caption
JUDGED = 600  # pictures of either kind that an evaluation looks at
FIRST = 5
AT_ONCE = 64


class ClassifierTask:
    """The classifier with its labelled pictures; see `training.engine.task.Task`."""

    def __init__(
        self,
        config: ClassifierConfig,
        data: ClassifierDataConfig,
        variation: VariationConfig,
        loss: ClassifierLossConfig,
        records: Sequence[Record],
    ) -> None:
        training, held_out = split_up(records)
        self.data = data
        self.variation = variation
        self.settings = loss
        self.labels = labels_of(training, data.labels)
        self.network = Classifier(config, self.labels)
        self.size = len(training)
        self.fingerprint = fingerprint(training, data.labels)
        self.pictures = PictureCache(training, config.size)
        self.held_out = PictureCache(held_out, config.size)
        self._places = {head: {name: place for place, name in enumerate(names)} for head, names in self.labels.items()}

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A picture (3, size, size) in [-1, 1], varied, with the place of its label under each head."""
        record, picture = self.pictures.records[index], self.pictures[index]
        image = to_tensor(self._as_in_training(random, picture))
        if random.random() < self.data.flip_share and not any(map(names_a_side, self._words(record))):
            image = image.flip(-1)
        return {"image": image, "labels": torch.tensor(self._labels(record))}

    def loss(self, batch: dict[str, Tensor], noise: SampleNoise) -> dict[str, Tensor]:
        """The cross-entropy of each head, and their mean; a sample adds nothing where a head has no name for it."""
        features = self.network.features(batch["image"])
        kept = noise.uniform(features.shape[1]).to(features.device) >= self.settings.dropout
        scores = self.network.scores(features * kept / (1 - self.settings.dropout))
        losses = {}
        for column, (head, rows) in enumerate(scores.items()):
            right = batch["labels"][:, column]
            total = functional.cross_entropy(
                rows.float(), right, ignore_index=UNKNOWN, reduction="sum", label_smoothing=self.settings.smoothing
            )
            losses[f"loss_{head}"] = total / len(right)  # all of them: so parts of a batch add up to the whole
        return {"loss": torch.stack(list(losses.values())).mean(), **losses}

    def evaluate(self) -> dict[str, float]:
        """How often each head's first and first five names hold the right one, on held-out and on training pictures.

        NAME_first, NAME_first5 and NAME_first@VALUE (by the field `data.by`) are of held-out pictures, NAME_seen of
        training pictures, varied as in training; NAME_chance is what guessing would reach.
        """
        figures = {f"{head}_chance": 1 / len(names) for head, names in self.labels.items()}
        found, _ = self._hits(self.pictures, partial(self._as_in_training, Random(0)))
        for head, hits in found.items():
            figures |= shares({f"{head}_seen": hits[:, :1]})
        found, records = self._hits(self.held_out, partial(on_colour, colour=WHITE))
        for head, hits in found.items():
            figures |= shares({f"{head}_first": hits[:, :1], f"{head}_first{FIRST}": hits})
            figures |= shares(self._apart(f"{head}_first", hits[:, :1], records))
        return figures

    def sheet(self) -> Image.Image | None:
        """The classifier makes no pictures."""
        return None

    def export(self, folder: Path) -> None:
        """Write the network with its labels into `folder/classifier`."""
        save_classifier(folder / FOLDER, self.network)

    def _as_in_training(self, random: Random, picture: Image.Image) -> Image.Image:
        return varied(picture, self.data.white_share, self.variation, random)

    def _hits(
        self, pictures: PictureCache, view: Callable[[Image.Image], Image.Image]
    ) -> tuple[dict[str, Tensor], list[Record]]:
        """By head (n, up to 5): 1 where that guess is right, 0 where not, nan where the head knows no right one.

        Of at most `JUDGED` pictures, spread evenly, which are returned as well.
        """
        places = range(0, len(pictures), max(1, math.ceil(len(pictures) / JUDGED)))
        judged = [place for place in places if pictures.can_be_read(place)]
        device = self.network.stem.weight.device
        found: dict[str, list[Tensor]] = {head: [] for head in self.labels}
        for start in range(0, len(judged), AT_ONCE):
            part = judged[start : start + AT_ONCE]
            images = torch.stack([to_tensor(view(pictures[place])) for place in part])
            right = torch.tensor([self._labels(pictures.records[place]) for place in part])
            for column, (head, rows) in enumerate(self.network(images.to(device)).items()):
                best = rows.float().topk(min(FIRST, rows.shape[1])).indices.cpu()
                own = right[:, column, None]
                found[head].append((best == own).float().where(own != UNKNOWN, torch.nan))
        hits = {head: torch.cat(parts) for head, parts in found.items() if parts}
        return hits, [pictures.records[place] for place in judged]

    def _apart(self, name: str, hits: Tensor, records: Sequence[Record]) -> dict[str, Tensor]:
        """The rows of `hits` by the value of the field `data.by`."""
        values = [str(record.fields.get(self.data.by, "")) for record in records]
        rows = {value: [row for row, one in enumerate(values) if one == value] for value in sorted(set(values) - {""})}
        return {f"{name}@{value}": hits[places] for value, places in rows.items()} if len(rows) > 1 else {}

    def _labels(self, record: Record) -> list[int]:
        return [places.get(label_of(record, head), UNKNOWN) for head, places in self._places.items()]

    def _words(self, record: Record) -> list[str]:
        return [*record.captions, *(label_of(record, head) for head in self.labels)]


def label_of(record: Record, name: str) -> str:
    """What a sample is called under a label; "" where it has no such field."""
    if name == CAPTION and record.captions:
        return record.captions[0]
    return str(record.fields.get(name, ""))


def labels_of(records: Sequence[Record], wanted: Sequence[str]) -> dict[str, list[str]]:
    """The names under each label, sorted; labels under which there is nothing to tell apart are left out.

    Raises BadInput where no label is left.
    """
    found = {name: sorted({label_of(record, name) for record in records} - {""}) for name in wanted}
    if told := {name: values for name, values in found.items() if len(values) > 1}:
        return told
    fields = sorted({name for record in records for name in record.fields})
    raise BadInput(
        f"data.labels is {list(wanted)}; none of these differs between the {len(records)} training samples. Their "
        f"fields are: {', '.join(fields) or 'none'}; {CAPTION!r} takes the first caption of each."
    )


def shares(hits: dict[str, Tensor]) -> dict[str, float]:
    """The share of rows with a hit, by name; rows of nan do not count, and a name without other rows is left out."""
    known = {name: rows[~rows.isnan().any(dim=1)] for name, rows in hits.items()}
    return {name: float(rows.any(dim=1).float().mean()) for name, rows in known.items() if len(rows)}
