"""Prompts that put things together: of which samples, in which words, and that they are the same each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from safelight.data.collection import Record
from safelight.errors import BadInput
from safelight.evaluation.composed_prompts import (
    COLOURS,
    SENTENCES,
    colour_prompts,
    number_prompts,
    relation_prompts,
    sentence_prompts,
)
from safelight.evaluation.prompts import Prompt
from tests.evaluation.tiny_judges import cut_out, plain, record


def sample(concept: str, caption: str, *, group: str = "things") -> Record:
    return record(concept, cut_out("red"), f"a picture of {caption}", caption, concept=concept, group=group)


FOX, APPLE, TEA, GRAPES = (
    sample("fox", "a fox"),
    sample("apple", "an apple"),
    sample("cup of tea", "a cup of tea"),
    sample("grapes", "grapes"),
)
RED_FISH, COOK = sample("red fish", "a red fish"), sample("cook", "a cook", group="people-body")
SKY = record("sky", plain("blue"), "a night sky", concept="night sky")
EVERY = [FOX, APPLE, TEA, GRAPES, RED_FISH, COOK, SKY]


def test_colours() -> None:
    found = colour_prompts(EVERY, 140, 0)
    assert Counter(prompt.colour for prompt in found) == dict.fromkeys(COLOURS, 20)
    assert {prompt.concept for prompt in found} == {"fox", "apple", "cup of tea", "grapes"}
    texts = {prompt.text for prompt in found}
    assert texts >= {"a blue fox", "an orange fox", "a red apple", "a green cup of tea", "purple grapes"}
    assert len(texts) == 4 * len(COLOURS)


def test_relations() -> None:
    found = relation_prompts(EVERY, 2000, 0)
    assert Counter(prompt.relation for prompt in found) == dict.fromkeys(("left", "right", "above", "under"), 500)
    assert {prompt.thing for prompt in found} == {"fox", "apple", "cup of tea", "grapes", "red fish", "cook"}
    assert all(prompt.thing != prompt.other and prompt.concept is None for prompt in found)
    said = {(prompt.thing, prompt.relation, prompt.other): prompt.text for prompt in found}
    assert said["fox", "left", "apple"] == "a fox to the left of an apple"
    assert said["fox", "right", "apple"] == "a fox to the right of an apple"
    assert said["grapes", "above", "fox"] == "grapes above a fox"
    assert said["fox", "under", "grapes"] == "a fox under grapes"


def test_numbers() -> None:
    found = {prompt.text: (prompt.thing, prompt.number) for prompt in number_prompts(EVERY, 100, 0)}
    assert found["two foxes"] == ("fox", "two")
    assert found["three cups of tea"] == ("cup of tea", "three")
    assert {thing for thing, _ in found.values()} == {"fox", "apple", "cup of tea", "red fish", "cook"}


def test_sentences() -> None:
    """Of six things and 28 sentences each thing meets half of these."""
    found = sentence_prompts(EVERY, 168, 0)
    assert {prompt.concept for prompt in found} == {"fox", "apple", "cup of tea", "grapes", "red fish", "cook"}
    said = {(prompt.concept, prompt.text) for prompt in found}
    assert len({text for _, text in said}) == len(said) > 50
    assert all(concept in text for concept, text in said)
    assert found[0].text == SENTENCES[0].replace("{caption}", captioned(found[0].concept))
    assert found[4].text == SENTENCES[4].replace("{name}", str(found[4].concept))


def captioned(concept: str | None) -> str:
    [caption] = [sample.captions[1] for sample in EVERY[:6] if sample.fields["concept"] == concept]
    return caption


@pytest.mark.parametrize("prompts", [colour_prompts, relation_prompts, number_prompts, sentence_prompts])
def test_more_prompts_begin_with_the_same(prompts: Callable[[Sequence[Record], int, int], list[Prompt]]) -> None:
    assert prompts(EVERY, 40, 3)[:15] == prompts(EVERY, 15, 3)
    assert prompts(EVERY, 40, 3) != prompts(EVERY, 40, 4)


def test_nothing_to_put_together() -> None:
    with pytest.raises(BadInput, match="1 samples show 0 of the cut-out things that this asks for, and it needs 1"):
        colour_prompts([SKY], 4, 0)
    with pytest.raises(BadInput, match="2 samples show 1 of the cut-out things that this asks for, and it needs 2"):
        relation_prompts([FOX, SKY], 4, 0)
    assert len(number_prompts([FOX, SKY], 4, 0)) == 4


def test_a_photo_of_the_same_name_hides_no_cut_out_thing() -> None:
    photo = record("photo", plain("blue"), "a fox", concept="fox")
    for found in ([photo, FOX, APPLE], [FOX, APPLE, photo]):
        assert {prompt.concept for prompt in colour_prompts(found, 14, 0)} == {"fox", "apple"}
