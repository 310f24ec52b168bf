"""Pairs of sentences: what somebody says, and what a model that knows its captions would call the same picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from safelight.data.backdrop import with_background
from safelight.data.captions import ARTICLE, article, with_adjective, worded
from safelight.data.plurals import plural
from safelight.data.record import Record
from safelight.data.scenes import SIZES
from safelight.data.styles import Styles
from safelight.data.variation_captions import COLOURED, names_a_colour, words
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.rewording.settings import RewordingConfig, names_in
from safelight.training.sketch.imagined import Imagined

SAME = "{caption}"  # the meaning of sentences that add nothing
AROUND = {"caption", "name", "word"}  # what such a sentence may hold to be said of what is composed
COMPOSED = 0.3  # of what is said by sentences that add nothing: a thing in some style or colour, or two
COLOURFUL = 0.3  # of things beside another that are said to be like something, that are said to have a colour
IMAGINED = 0.5  # of what is said in the model's own words: captions of what nobody drew
SIZED = {size for said in SIZES.values() for size in said}
MOST_PIECES = 4  # of a word that is made up; the fewest are two
LOOSEST = 3  # things that may share a tag which stands for one of them
SHORTEST = 3  # letters of a tag
WRITTEN = 8  # times that a name of the configuration is said while a tag is said once


@dataclass(frozen=True)
class Pair:
    """What is said, and what is meant by it, in words that the model knows."""

    said: str
    meant: str


class Phrasebook:
    """Pairs without end.

    records: what the model learnt from; the first captions of those that were drawn name things. styles: which of them
    a bare name means, and how the others are called. data: the backgrounds, of which the first is the usual one, the
    model's own wordings, and how often nothing is said. pieces: of words, for such as mean nothing.
    Sentences that suit no thing are left out, and those about two things where no two are of one style. Raises
    BadInput without inflect, where plurals are needed.
    """

    def __init__(
        self,
        config: RewordingConfig,
        records: Sequence[Record],
        styles: Styles,
        data: DiffusionDataConfig,
        pieces: Sequence[str],
    ) -> None:
        self.config = config
        self.records = records
        self.styles = styles
        self.data = data
        self.pieces = pieces
        drawn = [record for record in records if "derived_from" not in record.fields]
        self._find_things(drawn)
        self._find_names(drawn)
        self._find_sentences()

    def _find_things(self, drawn: Sequence[Record]) -> None:
        """Each thing by its bare name, and which of them are drawn in one style."""
        self.things: dict[str, Record] = {}
        of_style: dict[str, list[str]] = defaultdict(list)
        for record in filter(self.styles.is_usual, drawn):
            if self.things.setdefault(bare(record), record) is record:
                of_style[str(record.fields.get("style"))].append(bare(record))
        self.alike = [names for names in of_style.values() if len(names) > 1]
        self.imagined = Imagined(drawn, self.styles) if self.alike else None

    def _find_names(self, drawn: Sequence[Record]) -> None:
        """How else things are called, and which words call none."""
        phrases = [sentence for others in self.config.phrasebook.values() for sentence in others]
        said = {word for sentence in phrases for word in words(sentence)}
        self.names = other_names(self.config.names, drawn, self.things, said | COLOURED)
        self.renamed = [name for name, others in self.names.items() for _ in others]
        meant = {name: record.captions[0] for name, record in self.things.items()}
        self.meanings = {other: meant[name] for name, others in self.names.items() for other in others}
        self.meanings |= {caption: caption for caption in meant.values()}
        self.known = {ARTICLE.sub("", said) for said in self.meanings} | COLOURED
        called = self.things.keys() | COLOURED
        self.idle = [word for word in self.config.words if called.isdisjoint(words(word))]
        around = "  ".join([*phrases, *self.config.unseen, ""])
        self.spoken = {  # "in a garden"
            name for name in self.meanings if f" {name} " in around or ARTICLE.sub("", name) in self.idle
        }

    def _find_sentences(self) -> None:
        """Which sentences suit something, and which of them others may be said in."""
        entries = [Pair(sentence, meant) for meant, others in self.config.phrasebook.items() for sentence in others]
        needed = {frozenset(needs_of(entry)) for entry in entries}
        self.suited = {needs: [name for name in self.things if self._suits(name, needs)] for needs in needed}
        self.entries = [
            entry
            for entry in entries
            if (self.alike if of_two(entry) else self.suited[frozenset(needs_of(entry))])
            and ("word" not in names_in(entry.said) or self.idle or self.pieces)
        ]
        self.about_two = [entry for entry in self.entries if of_two(entry)]
        self.about_one = [entry for entry in self.entries if not of_two(entry)]
        self.around = [entry for entry in self.entries if entry.meant == SAME and names_in(entry.said) <= AROUND]
        self.before = [  # "a happy {name}"; scenes show how big a thing is
            entry for entry in self.around if entry.said.endswith("{name}") and SIZED.isdisjoint(words(entry.said))
        ]

    def pair(self, random: Random) -> Pair:
        """One of them: in the model's own words, or in others."""
        if random.random() < self.config.own_share:
            own = self.own_words(random)
            return Pair(own, own)
        return self.reworded(random)

    def own_words(self, random: Random) -> str:
        """A caption as the model was taught it, one of what nobody drew, or none."""
        if random.random() < self.data.caption_dropout:
            return ""
        if self.imagined and random.random() < IMAGINED:
            return self.imagined.caption(random)
        record = random.choice(self.records)
        said = random.choice(self.styles.captions(record) or record.captions)
        if self.data.wordings and self.styles.is_usual(record) and random.random() < self.data.wording_share:
            said = worded(random.choice(self.data.wordings), record.captions[0])
        return with_background(said, random.choice([self.data.colours[0], *self.data.colours]))

    def reworded(self, random: Random) -> Pair:
        """Something said by one of the phrasebook's sentences, or by two, one around the other."""
        two = not self.about_one or (self.about_two and random.random() < self.config.two_share)
        entry = random.choice(self.about_two if two else self.about_one)
        pair = self._two(entry, random) if two else self._one(entry, random)
        if self.around and random.random() < self.config.again_share:
            pair = self._around(random.choice(self.around).said, pair, random)
        return pair

    def unseen(self, random: Random) -> Pair:
        """Something said by a sentence that is never learnt from."""
        return self._around(random.choice(self.config.unseen), self._any(random), random)

    def other_name(self, random: Random) -> Pair:
        """Another name of a thing, alone."""
        return self._renamed(random.choice(self.renamed), random)

    def _pair(self, said: str, meant: str) -> Pair:
        """What is a thing's name means that: "a new moon" is no moon that is new."""
        return Pair(said, self.meanings.get(said, meant))

    def _around(self, sentence: str, inner: Pair, random: Random) -> Pair:
        return self._pair(sentence.format_map(self._values(inner.said, "", random)), inner.meant)

    def _one(self, entry: Pair, random: Random) -> Pair:
        needs = frozenset(needs_of(entry))
        if needs:
            inner = self._named(random.choice(self.suited[needs]), random, needs)
        elif entry in self.around and random.random() < COMPOSED:
            said = self.imagined.caption(random) if self.imagined else random.choice(self.records).captions[0]
            inner = Pair(said, said)
        else:
            inner = self._any(random)
        colour = random.choice(self.data.colours[1:] or self.data.colours)
        said, meant = (
            sentence.format_map(self._values(caption, colour, random))
            for sentence, caption in ((entry.said, inner.said), (entry.meant, inner.meant))
        )
        return self._pair(said, meant)

    def _two(self, entry: Pair, random: Random) -> Pair:
        alike = random.choices(self.alike, [len(names) for names in self.alike])[0]
        a, b = (self._described(self._one_of_two(name, random), random) for name in random.sample(alike, 2))
        said, meant = (
            sentence.format_map(Blanks({"a": first, "b": second}, self._word(random)))
            for sentence, first, second in ((entry.said, a.said, b.said), (entry.meant, a.meant, b.meant))
        )
        return Pair(said, meant)

    def _one_of_two(self, name: str, random: Random) -> Pair:
        """A certain thing, by no name that beside another means nothing: "in a garden" says where that is."""
        pair = self._named(name, random)
        caption = self.things[name].captions[0]
        return Pair(caption, caption) if pair.said in self.spoken else pair

    def _described(self, pair: Pair, random: Random) -> Pair:
        """One of two things, which may be said to be like something that no picture of two shows."""
        if not self.before or random.random() >= self.config.again_share:
            return pair
        colours = self.data.colours[1:]
        if colours and random.random() < COLOURFUL and not names_a_colour(f"{pair.said} {pair.meant}"):
            return self._pair(with_adjective(pair.said, random.choice(colours)), pair.meant)
        return self._around(random.choice(self.before).said, pair, random)

    def _suits(self, name: str, needs: frozenset[str]) -> bool:
        return suits(self.things[name].captions[0], needs)

    def _any(self, random: Random) -> Pair:
        """Any thing, by its name or by another."""
        if self.renamed and random.random() < self.config.name_share:
            return self.other_name(random)
        caption = self.things[random.choice([*self.things])].captions[0]
        return Pair(caption, caption)

    def _named(self, name: str, random: Random, needs: frozenset[str] = frozenset()) -> Pair:
        """A certain one, in the same way, so that it is what a sentence needs."""
        if name in self.names and random.random() < self.config.name_share:
            pair = self._renamed(name, random)
            if suits(pair.said, needs):
                return pair
        caption = self.things[name].captions[0]
        return Pair(caption, caption)

    def _renamed(self, name: str, random: Random) -> Pair:
        return Pair(random.choice(self.names[name]), self.things[name].captions[0])

    def _values(self, caption: str, colour: str, random: Random) -> Blanks:
        values = {
            "caption": caption,
            "name": worded("{name}", caption),
            "colour": colour,
            "background": f"on {article(colour)} {colour} background",
            "painted": with_adjective(caption, colour),
        }
        return Blanks(values, self._word(random), caption)

    def _word(self, random: Random) -> Iterator[str]:
        """Words that mean nothing, without end."""
        while True:
            if self.idle and (not self.pieces or random.random() < 0.5):
                yield random.choice(self.idle)
            else:
                made = "".join(random.choice(self.pieces) for _ in range(random.randint(2, MOST_PIECES)))
                if made not in self.known:
                    yield made


class Blanks(dict[str, str]):
    """What takes the place of braces: known values, the plural of a caption, or for each {word} a new one."""

    def __init__(self, values: Mapping[str, str], word: Iterator[str], caption: str = "") -> None:
        super().__init__(values)
        self.word = word
        self.caption = caption

    def __missing__(self, name: str) -> str:
        if name == "word":
            return next(self.word)
        more = plural(self.caption) if name == "more" else None
        if more is None:
            raise KeyError(name)
        return more


def of_two(entry: Pair) -> bool:
    """Whether it speaks of {a} and {b}."""
    return "a" in names_in(entry.meant)


def needs_of(entry: Pair) -> set[str]:
    """What a thing must have for it: a plural, or no colour of its own."""
    return (names_in(entry.said) | names_in(entry.meant)) & {"more", "painted"}


def suits(caption: str, needs: frozenset[str]) -> bool:
    """Whether there is a plural of a thing, or it can be said to have a colour, where that is needed."""
    return not ("more" in needs and plural(caption) is None) and not ("painted" in needs and names_a_colour(caption))


def bare(record: Record) -> str:
    """The name of a record's thing: its first caption without an article, in small letters."""
    return ARTICLE.sub("", record.captions[0]).lower()


def other_names(
    names: Mapping[str, Sequence[str]], records: Sequence[Record], things: Mapping[str, Record], said: set[str]
) -> dict[str, list[str]]:
    """For each thing the names that are given, and those of its tags that are none of these, no thing's name, nor said.

    A tag, of the field of that name, stands for the thing of which it is the last word, or else, if at most three share
    it, for the one that is given it most often, and of these for the shortest name. `things`: by their bare names.
    """
    found = {name: [*others] * WRITTEN for name, others in names.items() if name in things and others}
    taken = {ARTICLE.sub("", other) for others in names.values() for other in others} | said
    taken |= {str(record.fields.get("concept")).lower() for record in records} | {bare(record) for record in records}
    given: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for record in records:
        if bare(record) in things:
            for tag in tags(record):
                given[tag][bare(record)] += 1
    for tag, shared in sorted(given.items()):
        name = max(shared, key=lambda one: (one.endswith(f" {tag}"), shared[one], -len(one), one))
        stands = name.endswith(f" {tag}") or len(shared) <= LOOSEST
        if stands and tag not in taken and tag.isalpha() and len(tag) >= SHORTEST:
            found.setdefault(name, []).append(f"{article(tag)} {tag}")
    return found


def tags(record: Record) -> list[str]:
    """The tags of a record, in small letters: a list of text, or one text with commas."""
    given = record.fields.get("tags")
    parts = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else []
    return [part.strip().lower() for part in parts if isinstance(part, str)]
