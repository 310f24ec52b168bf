"""Prompts that no sample shows: a thing in a named colour, two things of which one is above the other, three foxes.

And sentences about a thing that are no captions, as people write them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from random import Random

from safelight.data.backdrop import shows_cut_out
from safelight.data.captions import ARTICLE, with_adjective, worded
from safelight.data.collection import Record
from safelight.data.plurals import plural
from safelight.data.variation_captions import names_a_colour
from safelight.data.variations import in_group_of_people
from safelight.errors import BadInput
from safelight.evaluation.prompts import Prompt

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
NUMBERS = {"two": 2, "three": 3}

# What is said beside the thing need not be seen in the picture. No model of ours learns from these sentences, though it
# knows some of their words.
SENTENCES = (
    "{caption} in the desert at noon",
    "{caption} on an old wooden bench",
    "a charcoal study of {caption}",
    "{caption} wrapped in a warm blanket",
    "the {name} that everybody talks about",
    "a curious {name} exploring the attic",
    "{caption} floating down a quiet canal",
    "{caption}, ultra realistic, sharp focus, award winning",
    "{caption} beside the campfire",
    "draw me {caption} that my daughter will love",
    "a rusty abandoned {name}",
    "{caption} covered in frost",
    "{caption} at the train station",
    "a stained glass window showing {caption}",
    "{caption} in the style of Van Gogh",
    "{caption} for sale at a flea market",
    "an enormous {name} towering over the city",
    "{caption} in a quiet library",
    "a friendly {name} waving hello",
    "{caption} after the rain",
    "{caption}, soft lighting, pastel tones",
    "tattoo design of {caption}",
    "{caption} lost in the fog",
    "{caption} carved out of oak",
    "what would {caption} look like?",
    "grandma's favourite {name}",
    "{caption} in a crowded subway",
    "a postcard with {caption} on it",
)


@dataclass(frozen=True)
class Relation:
    """How it is said, along which dimension of (h, w) it goes, and whether the first-named thing comes first there."""

    words: str
    dim: int
    first_leads: bool


RELATIONS = {
    "left": Relation("{thing} to the left of {other}", 1, True),
    "right": Relation("{thing} to the right of {other}", 1, False),
    "above": Relation("{thing} above {other}", 0, True),
    "under": Relation("{thing} under {other}", 0, False),
}


@dataclass(frozen=True)
class Named:
    """A concept, the caption that is its bare name ("a fox"), and a sample of it."""

    concept: str
    caption: str
    record: Record


def colour_prompts(records: Sequence[Record], count: int, seed: int) -> list[Prompt]:
    """`count` of "a blue fox", the colours in turn: of things that have no colour in their names, and of no people."""
    things = _things(records, seed, 1, _may_be_painted)
    prompts = (
        Prompt(with_adjective(thing.caption, colour), concept=thing.concept, colour=colour)
        for thing, colour in zip(things, cycle(COLOURS), strict=False)
    )
    return list(islice(prompts, count))


def relation_prompts(records: Sequence[Record], count: int, seed: int) -> list[Prompt]:
    """`count` of "a cat to the left of a rocket", the relations in turn: of any two concepts."""
    things = _things(records, seed, 2, lambda thing: True)
    pairs = ((thing, other) for thing, other in zip(things, things, strict=False) if thing.concept != other.concept)
    prompts = (
        Prompt(
            relation.words.format(thing=thing.caption, other=other.caption),
            thing=thing.concept,
            relation=name,
            other=other.concept,
        )
        for (thing, other), (name, relation) in zip(pairs, cycle(RELATIONS.items()), strict=False)
    )
    return list(islice(prompts, count))


def number_prompts(records: Sequence[Record], count: int, seed: int) -> list[Prompt]:
    """`count` of "two foxes" and "three foxes" in turn; raises BadInput without inflect."""
    things = _things(records, seed, 1, lambda thing: plural(thing.caption) is not None)
    prompts = (
        Prompt(f"{number} {plural(thing.caption)}", thing=thing.concept, number=number)
        for thing, number in zip(things, cycle(NUMBERS), strict=False)
    )
    return list(islice(prompts, count))


def sentence_prompts(records: Sequence[Record], count: int, seed: int) -> list[Prompt]:
    """`count` of "a fox covered in frost", "a friendly robot waving hello": each thing in one of the sentences."""
    things = _things(records, seed, 1, lambda thing: True)
    prompts = (
        Prompt(worded(sentence, thing.caption), concept=thing.concept)
        for thing, sentence in zip(things, cycle(SENTENCES), strict=False)
    )
    return list(islice(prompts, count))


def _things(records: Sequence[Record], seed: int, fewest: int, fits: Callable[[Named], bool]) -> Iterator[Named]:
    """Without end, in rounds: every concept that is a cut-out thing, has a caption that is its bare name, and fits.

    Raises BadInput where there are fewer.
    """
    named: dict[str, list[Named]] = {}
    for record in records:
        concept = str(record.fields.get("concept"))
        for caption in record.captions:
            thing = Named(concept, caption, record)
            if ARTICLE.sub("", caption) == concept and fits(thing):
                named.setdefault(concept, []).append(thing)
    random = Random(seed)
    concepts = sorted(named)
    while True:
        random.shuffle(concepts)
        usable = []
        for concept in concepts:  # looked at when its turn comes, for it takes a while to look at all
            cut_out = next((thing for thing in named[concept] if shows_cut_out(thing.record)), None)
            if cut_out is not None:
                named[concept] = [cut_out]
                usable.append(concept)
                yield cut_out
        if len(usable) < fewest:
            raise BadInput(
                f"{len(records)} samples show {len(usable)} of the cut-out things that this asks for, and it needs "
                f'{fewest}; such a sample has its bare concept, as in "a fox", for a caption.'
            )
        concepts = usable


def _may_be_painted(thing: Named) -> bool:
    return not in_group_of_people(thing.record) and not names_a_colour(thing.caption)
