"""Which caption a sample is shown with, and in what order its words stand.

Dropping the caption of some samples is what classifier-free guidance is trained by (Ho and Salimans 2022, section 3.2).
Shuffling is for captions that are lists of tags: their order means nothing, and the model should not learn one.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from safelight.errors import BadInput

SIDES = {
    *("left", "right", "lefthand", "righthand", "lefthanded", "righthanded"),
    *("leftmost", "rightmost", "leftward", "rightward", "leftwards", "rightwards", "clockwise", "counterclockwise"),
}


ARTICLE = re.compile(r"^(?:an?|the|some) ", re.IGNORECASE)
NUMBER = re.compile(r"^(?:two|three|four|five|six|seven|eight|nine|ten) ", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class CaptionSettings:
    """How a caption is chosen among those of a sample."""

    first_share: float = 0.0  # of the samples, which get their first caption; the others get any
    dropout: float = 0.1  # share of samples without a caption: what guidance compares with
    shuffle_share: float = 0.0  # of the samples, whose comma-separated tags are shuffled
    keep_tags: int = 1  # tags at the beginning that stay where they are
    tag_dropout: float = 0.0  # share of the other tags that are left out

    def __post_init__(self) -> None:
        for name in ("first_share", "dropout", "shuffle_share", "tag_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"captions.{name} is {getattr(self, name)}; it must be from 0 to 1.")
        if self.keep_tags < 0:
            raise BadInput(f"captions.keep_tags is {self.keep_tags}; it must be at least 0.")


def choose(captions: Sequence[str], settings: CaptionSettings, random: Random) -> str:
    """One of the captions, its tags shuffled and thinned out as the settings say; empty where it is dropped."""
    if not captions or random.random() < settings.dropout:
        return ""
    caption = captions[0] if random.random() < settings.first_share else random.choice(captions)
    return _shuffled(caption, settings, random)


def _shuffled(caption: str, settings: CaptionSettings, random: Random) -> str:
    shuffle = random.random() < settings.shuffle_share
    if not shuffle and settings.tag_dropout == 0:
        return caption
    tags = [tag.strip() for tag in caption.split(",") if tag.strip()]
    kept, others = tags[: settings.keep_tags], tags[settings.keep_tags :]
    others = [tag for tag in others if random.random() >= settings.tag_dropout]
    if shuffle:
        random.shuffle(others)
    return ", ".join([*kept, *others])


def article(noun: str) -> str:
    """The indefinite article that goes before a word."""
    return "an" if noun[:1].lower() in set("aeiou") else "a"


def worded(sentence: str, caption: str) -> str:
    """A sentence with {caption} filled in, or with {name}: the caption without its article."""
    return sentence.format(caption=caption, name=ARTICLE.sub("", caption))


def with_adjective(caption: str, adjective: str) -> str:
    """A caption with an adjective before its name: "two hearts" -> "two blue hearts", "fog" -> "blue fog"."""
    leading = ARTICLE.match(caption) or NUMBER.match(caption)
    if leading is None:
        return f"{adjective} {caption}"
    word, name = leading[0].strip(), caption[leading.end() :]
    if word.lower() in ("a", "an"):
        word = article(adjective)
    return f"{word} {adjective} {name}"


def check_wordings(sentences: Sequence[str], where: str = "data.wordings") -> None:
    """Raise BadInput for a sentence with nothing or something else in braces."""
    for sentence in sentences:
        try:
            found = {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}
        except ValueError:
            found = set()
        if len(found) != 1 or not found <= {"caption", "name"}:
            raise BadInput(f"{where} has {sentence!r}; each must hold {{caption}} or {{name}}, nothing else.")


def names_a_side(caption: str) -> bool:
    """Whether a caption would be false of the mirrored picture."""
    return not SIDES.isdisjoint(re.findall(r"[a-z]+", caption.lower()))
