"""The settings of the reword stage: what is said instead of what."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, field

from safelight.errors import BadInput
from safelight.training.bounds import check_bounds

ALONE = {"caption", "name", "more", "painted"}  # what a sentence can speak of, beside {a} with {b}
COLOURS = {"colour", "background", "painted"}
KNOWN = (*sorted(ALONE), "a", "b", "colour", "background", "word")


@dataclass(frozen=True, kw_only=True)
class RewordingConfig:
    """What a text encoder learns to read like its own words.

    Sentences may hold {caption}, a thing; {name}, the same without its article; {more}, its plural; {painted}, the same
    in a {colour}; {background}, "on a red background" of that colour; {a} and {b}, two things; {word}, a word that
    means nothing.
    """

    phrasebook: dict[str, tuple[str, ...]] = field(default_factory=dict)  # sentences that the model knows, and others
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)  # names of things, and captions for them beside
    unseen: tuple[str, ...] = ()  # sentences for {caption}, never learnt from, that mean no more: a figure is of these
    words: tuple[str, ...] = ()  # that take the place of {word}, in turn with some made up; also names of places
    own_share: float = 0.3  # of the samples, that are said in the model's own words, so that it keeps them
    two_share: float = 0.2  # of the others, that are said of two things
    again_share: float = 0.35  # of the others, around which a second sentence for {caption} is said
    name_share: float = 0.25  # of the things said in other words, that go by another name, or by a tag
    teacher: str = ""  # a model that reads its own words rightly; "" for the one that learns, as it was
    first_states: int = 0  # of a sentence: three steps of four look at no more, which is quicker; 0 for all

    def __post_init__(self) -> None:
        check_bounds("rewording", self, 0, 1, "own_share", "two_share", "again_share", "name_share")
        if self.first_states < 0 or self.first_states == 1:
            raise BadInput(
                f"rewording.first_states is {self.first_states}; it must be 0 for all, or at least 2: the first of all "
                "sentences is the same."
            )
        for meant, others in self.phrasebook.items():
            check_sentence(meant, "rewording.phrasebook")
            if "word" in names_in(meant):
                raise BadInput(
                    f"rewording.phrasebook has {meant!r} before the =; what is meant must not hold {{word}}."
                )
            for said in others:
                check_sentence(said, "rewording.phrasebook")
                if names_in(meant) & COLOURS and not names_in(said) & COLOURS:
                    raise BadInput(
                        f"rewording.phrasebook says {said!r} for {meant!r}; it must hold one of "
                        f"{_braced(sorted(COLOURS))}, too."
                    )
                if ("a" in names_in(meant)) != ("a" in names_in(said)):
                    raise BadInput(
                        f"rewording.phrasebook says {said!r} for {meant!r}; either both speak of {{a}} and {{b}}, or "
                        "none."
                    )
        for said in self.unseen:
            check_sentence(said, "rewording.unseen")
            if said in self.phrasebook.get("{caption}", ()):
                raise BadInput(f"rewording.unseen has {said!r}, which stands in rewording.phrasebook, too.")
            if not names_in(said) <= {"caption", "name"}:
                raise BadInput(f"rewording.unseen has {said!r}; each must hold {{caption}} or {{name}}, nothing else.")


def names_in(sentence: str) -> set[str]:
    """What stands in braces in a sentence; raises ValueError where braces do not match."""
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def check_sentence(sentence: str, where: str) -> None:
    """Raise BadInput for a sentence with something else in braces, or that speaks of nothing."""
    try:
        names = names_in(sentence)
    except ValueError:
        names = {""}
    speaks = bool(names & ALONE) != ({"a", "b"} <= names)
    if not names <= set(KNOWN) or not speaks or len(names & {"a", "b"}) == 1:
        raise BadInput(
            f"{where} has {sentence!r}; each sentence must hold one of {_braced(sorted(ALONE))}, or both {{a}} and "
            f"{{b}}, and may hold {_braced(['colour', 'background', 'word'])} beside."
        )


def _braced(names: Sequence[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
