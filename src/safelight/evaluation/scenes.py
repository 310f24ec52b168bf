"""Whether things stand where they were asked for, and as many of them: each is cut out and shown to a judge of one.

A relation is right where the judge finds the one thing in the half of the picture where it belongs, and the other in
the other. A number is right where so many things lie apart, and the judge finds the concept in at least one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from safelight.data.backdrop import to_square
from safelight.data.collection import Record
from safelight.evaluation.classifier import Classifier, classify
from safelight.evaluation.composed_prompts import NUMBERS, RELATIONS
from safelight.evaluation.pictures import Pictures
from safelight.evaluation.recognition import Recognition, recognition
from safelight.evaluation.things import alone, halves, things

HEAD = "concept"  # of the judge
MISSED = 1_000_000  # a place behind every name


@dataclass(frozen=True)
class Scene:
    """What was asked for in one word, the concepts that should be there, and what is there, in the same order."""

    asked: str
    wanted: Sequence[str]
    shown: Sequence[Image.Image]


def related(record: Record, picture: Image.Image, size: int) -> Scene:
    """The two halves of a picture, in which two things should be; shown at `size` pixels."""
    relation = RELATIONS[record.fields["relation"]]
    wanted = [record.fields["thing"], record.fields["other"]]
    return Scene(
        record.fields["relation"],
        wanted if relation.first_leads else wanted[::-1],
        [to_square(alone(picture, mask), size) for mask in halves(picture, relation.dim)],
    )


def counted(record: Record, picture: Image.Image, size: int) -> Scene:
    """All things in a picture, in which so many of one kind should be; shown at `size` pixels."""
    shown = [to_square(alone(picture, mask), size) for mask in things(picture)]
    return Scene(record.fields["number"], [record.fields["thing"]] * NUMBERS[record.fields["number"]], shown)


@dataclass(frozen=True)
class Question:
    """Something that pictures are asked for: by which words, of the concepts in which fields.

    scene: what is to be seen in a picture. rank: from where the judge has the name of each thing to one place.
    """

    name: str
    words: Collection[str]
    fields: tuple[str, ...]
    scene: Callable[[Record, Image.Image, int], Scene]
    rank: Callable[[Tensor], Tensor]

    def asked(self, record: Record, labels: set[str]) -> bool:
        """Whether a picture asks this, of concepts that are among the labels."""
        concepts = {str(record.fields.get(field)) for field in self.fields}
        return str(record.fields.get(self.name)) in self.words and concepts <= labels


QUESTIONS = (
    Question("relation", RELATIONS, ("thing", "other"), related, torch.max),
    Question("number", NUMBERS, ("thing",), counted, torch.min),
)


def scene_recognitions(
    pictures: Pictures,
    classifier: Classifier,
    judge: str,
    watch: Callable[[Iterable[Scene], int, str], Iterable[Scene]],
) -> list[Recognition]:
    """How often relations are right, numbers, and both together, as far as they are asked for.

    They are right at first, or within the first five, where the judge's names for the things are. Pictures of concepts
    that it does not know are left out. judge: its name. watch: lets the pictures through as they are looked at.
    """
    labels = set(classifier.labels.get(HEAD, ()))
    told = []
    for question in QUESTIONS:
        rows = [row for row, record in enumerate(pictures.records) if question.asked(record, labels)]
        seen = (question.scene(pictures.records[row], pictures[row], classifier.config.size) for row in rows)
        if scenes := list(watch(seen, len(rows), question.name)):
            ranks = torch.stack([question.rank(each) for each in _ranks(scenes, classifier)])
            told.append(_recognition(question.name, judge, ranks, [scene.asked for scene in scenes]))
    if len(told) > 1:
        ranks, asked = torch.cat([each.rank for each in told]), [word for each in told for word in each.asked]
        told.append(_recognition("relation or number", judge, ranks, asked))
    return told


def _recognition(name: str, judge: str, rank: Tensor, asked: Sequence[str]) -> Recognition:
    return Recognition(name, judge, rank, asked, [None] * len(asked))


def _ranks(scenes: Sequence[Scene], classifier: Classifier) -> Iterator[Tensor]:
    """For each scene, where the judge has the name of each thing; behind all where there are more things, or fewer."""
    labels = classifier.labels[HEAD]
    whole = [scene for scene in scenes if len(scene.shown) == len(scene.wanted)]
    shown = [picture for scene in whole for picture in scene.shown]
    wanted = [concept for scene in whole for concept in scene.wanted]
    found = recognition(HEAD, "", classify(classifier, shown)[HEAD], labels, wanted, wanted)
    parts = iter(found.rank.split([len(scene.wanted) for scene in whole]) if found is not None else ())
    for scene in scenes:
        yield next(parts) if len(scene.shown) == len(scene.wanted) else torch.tensor([MISSED])
