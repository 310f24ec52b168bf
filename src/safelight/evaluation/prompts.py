"""What a model is asked to draw when it is evaluated, and what its picture must then show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from safelight.data.backdrop import COLOURS, shows_cut_out, with_background
from safelight.data.captions import article
from safelight.data.collection import Record
from safelight.errors import BadInput
from safelight.evaluation.pictures import Backdrop

# What a picture can be judged by, beside its prompt.
KNOWN = ("concept", "style", "background", "colour", "thing", "relation", "other", "number")
LIST = "prompts"  # the field that says which list of several a prompt is of
ROUNDS = 1000  # over the samples, at most: after so many no new prompt is to be expected


@dataclass(frozen=True)
class Prompt:
    """A text, and what a picture of it must then show; None is what the text leaves open.

    concept, style, background, colour: of the one thing in it. thing, relation, other: concepts of two, and where the
    one is, seen from the other. thing, number: so many of one concept. prompts: the list that it is of, where there are
    several.
    """

    text: str
    concept: str | None = None
    style: str | None = None
    background: str | None = None
    colour: str | None = None
    thing: str | None = None
    relation: str | None = None
    other: str | None = None
    number: str | None = None
    prompts: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What is known, as a sample's fields."""
        return {name: getattr(self, name) for name in (*KNOWN, LIST) if getattr(self, name) is not None}


def caption_prompts(records: Sequence[Record], count: int, seed: int, backdrop: Backdrop) -> list[Prompt]:
    """`count` captions, each of another sample as long as there are such; raises BadInput where none has a caption.

    Cut-out pictures are asked for on the background that `backdrop` lays their real picture over. A style is asked for
    where the caption names it. The first n of more prompts are those of n.
    """
    captioned = [record for record in records if record.captions]
    if not captioned:
        raise BadInput(f"None of the {len(records)} samples has a caption to draw; give --prompts a file of prompts.")
    return list(islice(_caption_prompts(captioned, seed, backdrop), count))


def _caption_prompts(records: Sequence[Record], seed: int, backdrop: Backdrop) -> Iterator[Prompt]:
    random = Random(seed)
    cut_out: dict[str, bool] = {}
    for _ in range(ROUNDS):
        for record in random.sample(records, len(records)):
            caption = random.choice(record.captions)
            concept, style = (_text(record.fields.get(name)) for name in ("concept", "style"))
            if not names_style(record, caption):
                style = None
            if record.key not in cut_out:
                cut_out[record.key] = shows_cut_out(record)
            if not cut_out[record.key]:
                yield Prompt(caption, concept, style)
                continue
            colour = backdrop(record)
            yield Prompt(with_background(caption, colour), concept, style, colour)


def names_style(record: Record, caption: str) -> bool:
    """Whether a caption holds the words that its sample gives for its style; taken to be so where it gives none."""
    return str(record.fields.get("style_phrase", "")).lower() in caption.lower()


def concept_prompts(records: Sequence[Record], count: int, seed: int) -> list[Prompt]:
    """`count` of "a fox", "a fox on a red background", ...: the records' concepts in turn, on every background.

    Raises BadInput where no sample names its concept.
    """
    concepts = sorted({str(record.fields["concept"]) for record in records if "concept" in record.fields})
    if not concepts:
        raise BadInput(f"None of the {len(records)} samples has a field 'concept'; give --prompts captions or a file.")
    random = Random(seed)
    pairs: list[tuple[str, str]] = []
    for shift in range(-(-count // len(concepts))):
        colours = [*COLOURS][shift % len(COLOURS) :] + [*COLOURS][: shift % len(COLOURS)]
        turn = [(concept, colours[number % len(colours)]) for number, concept in enumerate(concepts)]
        pairs += random.sample(turn, len(turn))
    return [
        Prompt(with_background(f"{article(concept)} {concept}", colour), concept, None, colour)
        for concept, colour in pairs[:count]
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)
