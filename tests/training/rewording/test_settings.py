"""Which sentences a phrasebook may hold, and that our own recipe's say what they should."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from safelight.data.captions import ARTICLE, worded
from safelight.errors import BadInput
from safelight.evaluation.composed_prompts import SENTENCES
from safelight.training.recipe_file import read_recipe
from safelight.training.rewording.settings import RewordingConfig

ALLOWED = r"each sentence must hold one of \{caption\}, \{more\}, \{name\}, \{painted\}, or both \{a\} and \{b\}"


@pytest.mark.parametrize(
    "wrong",
    ["a fox", "{thing}", "{caption", "{}", "{a} alone", "{b}", "{a} and {b} and {caption}", "only {word}", "{colour}"],
)
def test_a_sentence_speaks_of_one_thing_or_of_two(wrong: str) -> None:
    for phrasebook in ({wrong: ("{caption}",)}, {"{caption}": (wrong,)}):
        with pytest.raises(BadInput, match=ALLOWED):
            RewordingConfig(phrasebook=phrasebook)


@pytest.mark.parametrize(("meant", "said"), [("{a} above {b}", "{caption}"), ("{caption}", "{a} on {b}")])
def test_two_things_are_not_said_of_one(meant: str, said: str) -> None:
    with pytest.raises(BadInput, match=r"either both speak of \{a\} and \{b\}, or none"):
        RewordingConfig(phrasebook={meant: (said,)})


@pytest.mark.parametrize("wrong", ["{painted} here", "{caption} in {colour}", "nothing"])
def test_unseen_sentences_add_nothing(wrong: str) -> None:
    with pytest.raises(BadInput, match=r"rewording\.unseen has"):
        RewordingConfig(unseen=(wrong,))


def test_unseen_sentences_are_not_learnt_from() -> None:
    with pytest.raises(BadInput, match=r"which stands in rewording\.phrasebook, too"):
        RewordingConfig(phrasebook={"{caption}": ("my {name}",)}, unseen=("my {name}",))


@pytest.mark.parametrize(("meant", "said"), [("{painted}", "my {name}"), ("{caption} {background}", "{caption}")])
def test_a_colour_that_is_meant_is_said(meant: str, said: str) -> None:
    with pytest.raises(BadInput, match=r"it must hold one of \{background\}, \{colour\}, \{painted\}, too"):
        RewordingConfig(phrasebook={meant: (said,)})


def test_what_is_meant_holds_no_word_without_a_meaning() -> None:
    with pytest.raises(BadInput, match=r"what is meant must not hold \{word\}"):
        RewordingConfig(phrasebook={"{caption} {word}": ("{caption}",)})


@pytest.mark.parametrize("name", ["own_share", "two_share", "again_share", "name_share"])
def test_shares(name: str) -> None:
    with pytest.raises(BadInput, match=rf"rewording\.{name} is 1.5"):
        RewordingConfig(**{name: 1.5})


@pytest.mark.parametrize("states", [-1, 1])
def test_states_are_counted(states: int) -> None:
    with pytest.raises(BadInput, match=rf"rewording\.first_states is {states}; it must be 0 for all, or at least 2"):
        RewordingConfig(first_states=states)


def test_what_is_evaluated_is_never_learnt() -> None:
    recipe = read_recipe("bundled")
    learnt = [said for others in recipe.reword.rewording.phrasebook.values() for said in others]
    learnt += recipe.sketch.data.wordings
    said = {worded(sentence, "a fox") for sentence in SENTENCES}
    assert len(said) == len(SENTENCES)
    assert said.isdisjoint(sentence.replace("{caption}", "a fox").replace("{name}", "fox") for sentence in learnt)
    assert set(recipe.reword.rewording.unseen).isdisjoint({*learnt, *SENTENCES})


def test_no_name_of_our_recipe_stands_for_two_things() -> None:
    names = read_recipe("bundled").reword.rewording.names
    given = Counter(name for others in names.values() for name in others)
    assert not [name for name, times in given.items() if times > 1]
    known = (Path(__file__).parents[3] / "docs" / "bundled-vocabulary.txt").read_text("utf-8").splitlines()
    assert given.keys().isdisjoint(known)
    assert names.keys() <= {ARTICLE.sub("", name).lower() for name in known}


def test_no_sentence_of_our_recipe_means_two_things() -> None:
    recipe = read_recipe("bundled").reword
    said = Counter(said for others in recipe.rewording.phrasebook.values() for said in others)
    assert not [sentence for sentence, times in said.items() if times > 1]
    own = {wording for wordings in recipe.data.styles.values() for wording in wordings} | {*recipe.data.wordings}
    assert own.isdisjoint(recipe.rewording.phrasebook["{caption}"])
