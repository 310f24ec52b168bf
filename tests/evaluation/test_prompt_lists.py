"""Lists of prompts by name, one or several, and which samples each asks for."""

from __future__ import annotations

import pytest

from safelight.data.collection import Record
from safelight.errors import BadInput
from safelight.evaluation.pictures import on_white
from safelight.evaluation.prompt_lists import LISTS, Material, listed_prompts, named_lists
from safelight.evaluation.samples import Samples
from tests.evaluation.tiny_judges import cut_out, record


def sample(concept: str, style: str) -> Record:
    captions = [f"a {concept}", f"an {style} drawing of a {concept}", f"a {concept}, {style}"]
    fields = {"concept": concept, "style": style, "style_phrase": f"{style} drawing"}
    return record(f"{style}-{concept}", cut_out("red"), *captions, **fields)


TRAINING = [sample("fox", "ink"), sample("fox", "oil"), sample("hen", "ink")]
HELD_OUT = [sample("hen", "oil"), sample("fox", "oil"), sample("yak", "oil")]


def material(held_out: list[Record]) -> Material:
    samples = Samples(TRAINING, held_out, held_out, ["fox", "hen", "yak"], [])
    return Material(samples, TRAINING, 0, on_white)


def test_styles_are_those_of_training_samples_whose_captions_name_them() -> None:
    found = listed_prompts(["styles"], material(HELD_OUT), 30)
    assert {(prompt.text, prompt.concept, prompt.style) for prompt in found} == {
        ("an ink drawing of a fox", "fox", "ink"),
        ("an oil drawing of a fox", "fox", "oil"),
        ("an ink drawing of a hen", "hen", "ink"),
    }


def test_unseen_pairs_are_asked_for_once() -> None:
    (found,) = listed_prompts(["unseen"], material(HELD_OUT), 30)
    assert (found.text, found.concept, found.style) == ("an oil drawing of a hen", "hen", "oil")


def test_no_unseen_pairs() -> None:
    with pytest.raises(BadInput, match="Of 0 held-out samples of unseen pairs of concept and style none"):
        listed_prompts(["unseen"], material([sample("fox", "oil")]), 4)


def test_several_lists_take_turns_and_say_which_they_are() -> None:
    found = listed_prompts(["numbers", "unseen", "concepts"], material(HELD_OUT), 3)
    assert [prompt.prompts for prompt in found] == [
        *("numbers", "unseen", "concepts", "numbers", "concepts", "numbers", "concepts")
    ]
    more = listed_prompts(["numbers", "unseen", "concepts"], material(HELD_OUT), 9)
    assert more[:7] == found


def test_one_list_does_not_say_which_it_is() -> None:
    assert {prompt.prompts for prompt in listed_prompts(["concepts"], material(HELD_OUT), 9)} == {None}


def test_names_of_lists() -> None:
    assert named_lists("styles,colours,styles") == ["styles", "colours"]
    assert named_lists(",".join(LISTS)) == list(LISTS)
    assert named_lists("prompts,mine.txt") == []
    with pytest.raises(BadInput, match="--prompts 'colors' is unknown"):
        named_lists("styles,colors")
