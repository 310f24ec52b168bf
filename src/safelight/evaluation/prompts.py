"""What a model is asked to draw when it is evaluated: captions of samples it has not seen, or texts from a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from safelight.data.backdrop import COLOURS, is_cut_out, with_background
from safelight.data.collection import Record
from safelight.errors import BadInput
from safelight.evaluation.pictures import Backdrop

KNOWN = ("concept", "style", "background")  # what a picture can be judged by, beside its prompt
ROUNDS = 1000  # over the samples, at most: after so many no new prompt is to be expected


@dataclass(frozen=True)
class Prompt:
    """A text, and what a picture of it must then show; None is what the text leaves open."""

    text: str
    concept: str | None = None
    style: str | None = None
    background: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What is known, as a sample's fields."""
        return {name: getattr(self, name) for name in KNOWN if getattr(self, name) is not None}


def caption_prompts(records: Sequence[Record], count: int, seed: int, backdrop: Backdrop) -> list[Prompt]:
    """`count` captions, each of another sample as long as there are such; raises BadInput where none has a caption.

    Cut-out pictures are asked for on the background that `backdrop` lays their real picture over. The first n of more
    prompts are those of n.
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
            if record.key not in cut_out:
                cut_out[record.key] = is_cut_out(record.picture())
            if not cut_out[record.key]:
                yield Prompt(caption, concept, style)
                continue
            colour = backdrop(record)
            yield Prompt(with_background(caption, colour), concept, style, colour)


def concept_prompts(records: Sequence[Record], count: int, seed: int, backdrop: Backdrop) -> list[Prompt]:
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


# --prompts WORD -> the prompts that it means; anything else is a file.
SOURCES: dict[str, Callable[[Sequence[Record], int, int, Backdrop], list[Prompt]]] = {
    "captions": caption_prompts,
    "concepts": concept_prompts,
}


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a file, one a line: plain text, or an object with "prompt" and what is known of KNOWN.

    Raises BadInput that names the line.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise BadInput(
            f"--prompts {str(path)!r} is neither {' nor '.join(SOURCES)} nor a readable file of text: {error}."
        ) from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    prompts = [_read_line(line, f"{str(path)!r}, line {number}") for number, line in numbered]
    if not prompts:
        raise BadInput(f"{str(path)!r} holds no prompts; one a line is read.")
    return prompts


def _read_line(line: str, where: str) -> Prompt:
    if not line.lstrip().startswith("{"):
        return Prompt(line.strip())
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} begins like JSON and is none: {error}.") from error
    text = found.pop("prompt", None)
    if not isinstance(text, str) or not all(isinstance(value, str) for value in found.values()):
        raise BadInput(f'{where} needs a "prompt", and all its values must be text.')
    if unknown := sorted(found.keys() - set(KNOWN)):
        raise BadInput(f"{where} has {', '.join(unknown)}; allowed beside prompt: {', '.join(KNOWN)}.")
    if found.get("background", "white") not in COLOURS:
        raise BadInput(f"{where} has the background {found['background']!r}; allowed: {', '.join(COLOURS)}.")
    return Prompt(text, **found)


def article(noun: str) -> str:
    """The indefinite article that goes before it."""
    return "an" if noun[:1].lower() in "aeiou" else "a"


def _text(value: object) -> str | None:
    return None if value is None else str(value)
