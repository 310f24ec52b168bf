"""What a model is asked for: captions, and concepts on backgrounds."""

from __future__ import annotations

from collections import Counter

import pytest

from safelight.data.backdrop import COLOURS, with_background
from safelight.errors import BadInput
from safelight.evaluation.pictures import mixed_backdrops
from safelight.evaluation.prompts import caption_prompts, concept_prompts
from tests.data.shapes import records
from tests.evaluation.tiny_judges import cut_out, plain, record

BACKDROP = mixed_backdrops(0)


def test_captions_come_from_every_sample_before_one_comes_twice() -> None:
    found = caption_prompts(records(), 20, 0, BACKDROP)
    assert len(found) == 20
    assert sorted(prompt.text for prompt in found[:16]) == sorted(each.captions[0] for each in records())
    assert {prompt.concept for prompt in found} == {"circle", "square", "bar", "cross"}
    assert {(prompt.style, prompt.background) for prompt in found} == {("drawing", None)}


def test_more_prompts_begin_with_the_same() -> None:
    assert caption_prompts(records(), 50, 3, BACKDROP)[:20] == caption_prompts(records(), 20, 3, BACKDROP)
    assert caption_prompts(records(), 20, 4, BACKDROP) != caption_prompts(records(), 20, 3, BACKDROP)


def test_cut_out_pictures_are_asked_for_on_the_background_that_they_lie_on() -> None:
    found = {prompt.text: prompt.background for prompt in caption_prompts(records("none"), 16, 0, BACKDROP)}
    assert found == {with_background(each.captions[0], BACKDROP(each)): BACKDROP(each) for each in records("none")}
    assert len(set(found.values())) > 2


def test_half_of_the_backgrounds_are_white() -> None:
    samples = [record(str(number), plain("red")) for number in range(2000)]
    counts = Counter(map(BACKDROP, samples))
    assert counts.keys() == COLOURS.keys()
    assert 0.45 < counts["white"] / 2000 < 0.55


def test_concepts_meet_every_background() -> None:
    found = concept_prompts(records(), 40, 0)
    assert {(prompt.concept, prompt.background) for prompt in found} == {
        (concept, colour) for concept in ("circle", "square", "bar", "cross") for colour in COLOURS
    }
    assert {prompt.text for prompt in found} >= {
        "a circle",
        "a bar on a red background",
        "a bar on an orange background",
    }


@pytest.mark.parametrize(
    ("concept", "text"), [("owl", "an owl"), ("Eiffel tower", "an Eiffel tower"), ("fox", "a fox")]
)
def test_articles(concept: str, text: str) -> None:
    assert concept_prompts([record("x", plain("red"), concept=concept)], 1, 0)[0].text == text


def test_nothing_to_ask_for() -> None:
    silent = [record("x", cut_out("red"))]
    with pytest.raises(BadInput, match="None of the 1 samples has a caption"):
        caption_prompts(silent, 4, 0, BACKDROP)
    with pytest.raises(BadInput, match="None of the 1 samples has a field 'concept'"):
        concept_prompts(silent, 4, 0)


def test_a_style_is_asked_for_where_the_caption_names_it() -> None:
    captions = ["an owl", "an owl, oil painting", "an Oil Painting of an owl"]
    samples = [record("x", plain("red"), *captions, concept="owl", style="oil", style_phrase="oil painting")]
    found = {prompt.text: prompt.style for prompt in caption_prompts(samples, 40, 0, BACKDROP)}
    assert found == {captions[0]: None, captions[1]: "oil", captions[2]: "oil"}
