"""Pairs of sentences: what somebody says, and what a model that knows its captions would call the same picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from safelight.data.backdrop import with_background
from safelight.data.captions import article, with_adjective, worded
from safelight.data.plurals import plural
from safelight.data.record import Record
from safelight.data.styles import Styles
from safelight.data.variation_captions import names_a_colour, words
from safelight.training.rewording.settings import RewordingConfig, names_in
from safelight.training.sketch.imagined import Imagined

SAME = "{caption}"  # the meaning of sentences that add nothing
COMPOSED = 0.3  # of what is said by sentences that add nothing: a thing in some style or colour, or two
MOST_PIECES = 3  # of a word that is made up
LOOSEST = 3  # things that may share a tag which stands for one of them


@dataclass(frozen=True)
class Pair:
    """What is said, and what is meant by it, in words that the model knows."""

    said: str
    meant: str


class Phrasebook:
    """Pairs without end.

    records: the things; their first captions name them. styles: which of them a bare name means, and how the others are
    called. colours: backgrounds; the first is the usual one. pieces: of words, for such as mean nothing.
    Sentences about two things are left out where no two are of one style. Raises BadInput without inflect, where there
    are two.
    """

    def __init__(
        self,
        config: RewordingConfig,
        records: Sequence[Record],
        styles: Styles,
        colours: Sequence[str],
        pieces: Sequence[str],
    ) -> None:
        self.config = config
        self.records = records
        self.styles = styles
        self.colours = colours
        self.pieces = pieces
        usual = [record for record in records if styles.is_usual(record)] or [*records]
        self.things = {str(record.fields.get("concept", record.captions[0])): record for record in usual}
        self.names = self._other_names()
        self.renamed = [concept for concept, names in self.names.items() for _ in names]
        of_style: dict[str, list[str]] = defaultdict(list)
        for concept, record in self.things.items():
            of_style[str(record.fields.get("style"))].append(concept)
        self.alike = [concepts for concepts in of_style.values() if len(concepts) > 1]
        self.imagined = Imagined(records, styles) if self.alike else None
        entries = [Pair(said, meant) for meant, others in config.phrasebook.items() for said in others]
        self.entries = [entry for entry in entries if self.alike or "a" not in names_in(entry.meant)]
        self.around = [entry for entry in entries if entry.meant == SAME]

    def pair(self, random: Random) -> Pair:
        """One of them: in the model's own words, or in others."""
        if not self.entries or random.random() < self.config.own_share:
            own = self.own_words(random)
            return Pair(own, own)
        return self.reworded(random)

    def own_words(self, random: Random) -> str:
        """A caption as the model was taught it, or one of what nobody drew."""
        if self.imagined and random.random() < 0.5:
            return self.imagined.caption(random)
        said = random.choice(self.styles.captions(random.choice(self.records)))
        return with_background(said, random.choice([self.colours[0], *self.colours]))

    def reworded(self, random: Random) -> Pair:
        """Something said by one of the phrasebook's sentences, or by two, one around the other."""
        entry = random.choice(self.entries)
        pair = self._filled(entry, random)
        if self.around and random.random() < self.config.again_share:
            pair = self._around(random.choice(self.around).said, pair, random)
        return pair

    def unseen(self, random: Random) -> Pair:
        """Something said by a sentence that is never learnt from."""
        return self._around(random.choice(self.config.unseen), self._thing(random), random)

    def _around(self, sentence: str, inner: Pair, random: Random) -> Pair:
        return Pair(sentence.format_map(self._values(inner.said, self._colour(random), random)), inner.meant)

    def _filled(self, entry: Pair, random: Random) -> Pair:
        if {"a", "b"} <= names_in(entry.meant):
            return self._two(entry, random)
        needs = names_in(entry.said) | names_in(entry.meant)
        inner = self._composed(random) if entry.meant == SAME and random.random() < COMPOSED else self._thing(random)
        while not self._suits(inner, needs):
            inner = self._thing(random)
        colour = self._colour(random)
        said, meant = (
            sentence.format_map(self._values(caption, colour, random))
            for sentence, caption in ((entry.said, inner.said), (entry.meant, inner.meant))
        )
        return Pair(said, meant)

    def _two(self, entry: Pair, random: Random) -> Pair:
        alike = random.choices(self.alike, [len(concepts) for concepts in self.alike])[0]
        a, b = (self._named(concept, random) for concept in random.sample(alike, 2))
        said, meant = (
            sentence.format_map(Blanks({"a": first, "b": second}, self._word(random)))
            for sentence, first, second in ((entry.said, a.said, b.said), (entry.meant, a.meant, b.meant))
        )
        return Pair(said, meant)

    def _suits(self, inner: Pair, needs: set[str]) -> bool:
        """Whether there is a plural of the thing, or it can be said to have a colour, where that is needed."""
        if "more" in needs and not (plural(inner.said) and plural(inner.meant)):
            return False
        return "painted" not in needs or not names_a_colour(inner.meant)

    def _thing(self, random: Random) -> Pair:
        """Any thing, by its name or by another."""
        if self.renamed and random.random() < self.config.name_share:
            return self._renamed(random.choice(self.renamed), random)
        name = self.things[random.choice([*self.things])].captions[0]
        return Pair(name, name)

    def _named(self, concept: str, random: Random) -> Pair:
        """A certain one, in the same way."""
        if concept in self.names and random.random() < self.config.name_share:
            return self._renamed(concept, random)
        name = self.things[concept].captions[0]
        return Pair(name, name)

    def _renamed(self, concept: str, random: Random) -> Pair:
        return Pair(random.choice(self.names[concept]), self.things[concept].captions[0])

    def _other_names(self) -> dict[str, list[str]]:
        """For each concept the configuration's names, and those tags that are none of these."""
        given = {concept: list(names) for concept, names in self.config.names.items() if concept in self.things}
        taken = {worded("{name}", name) for names in given.values() for name in names}
        for concept, tags in tags_of(self.records).items():
            if free := [f"{article(tag)} {tag}" for tag in tags if tag not in taken]:
                given.setdefault(concept, []).extend(free)
        return {concept: names for concept, names in given.items() if concept in self.things}

    def _composed(self, random: Random) -> Pair:
        """A thing in some style or colour, or two things, in the model's own words."""
        said = self.imagined.caption(random) if self.imagined else random.choice(self.records).captions[0]
        return Pair(said, said)

    def _values(self, caption: str, colour: str, random: Random) -> Blanks:
        values = {
            "caption": caption,
            "name": worded("{name}", caption),
            "colour": colour,
            "background": f"on {article(colour)} {colour} background",
            "painted": with_adjective(caption, colour),
        }
        return Blanks(values, self._word(random), caption)

    def _colour(self, random: Random) -> str:
        """One of the colours that have to be said."""
        return random.choice(self.colours[1:] or self.colours)

    def _word(self, random: Random) -> Iterator[str]:
        """Words that mean nothing, without end."""
        while True:
            if self.config.words and random.random() < 0.5:
                yield random.choice(self.config.words)
            else:
                yield "".join(random.choice(self.pieces) for _ in range(random.randint(1, MOST_PIECES)))


class Blanks(dict[str, str]):
    """What takes the place of braces: known values, the plural of a caption, or for each {word} a new one."""

    def __init__(self, values: Mapping[str, str], word: Iterator[str], caption: str = "") -> None:
        super().__init__(values)
        self.word = word
        self.caption = caption

    def __missing__(self, name: str) -> str:
        if name == "word":
            return next(self.word)
        if name == "more" and (more := plural(self.caption)):
            return more
        raise KeyError(name)


def tags_of(records: Sequence[Record]) -> dict[str, list[str]]:
    """For each concept the tags, of the fields of that name, that stand for it and are no concept's name.

    A tag that several share stands for the one that it is given most often, and of these for the shortest name; unless
    the tag is part of that name, at most three may share it.
    """
    given: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for record in records:
        for tag in record.fields.get("tags", ()):
            given[str(tag).lower()][str(record.fields.get("concept"))] += 1
    concepts = {concept for shared in given.values() for concept in shared}
    chosen: dict[str, list[str]] = defaultdict(list)
    for tag, shared in sorted(given.items()):
        concept = max(shared, key=lambda one: (tag in words(one), shared[one], -len(one), one))
        if tag not in concepts and tag.isalpha() and (tag in words(concept) or len(shared) <= LOOSEST):
            chosen[concept].append(tag)
    return dict(chosen)
