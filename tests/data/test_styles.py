"""Which captions a record keeps where a thing is drawn in several styles."""

from __future__ import annotations

from random import Random

import pytest

from safelight.data.record import Record
from safelight.data.styles import styles_of

WORDINGS = {"render": ("a render of {caption}", "a 3D {name}"), "line": ("a line drawing of {caption}",)}


def record(style: str, concept: str, *captions: str) -> Record:
    fields = {
        "style": style,
        "style_phrase": {"render": "glossy render", "line": "Line Art"}.get(style),
        "concept": concept,
    }
    return Record(f"{style}-{concept}", captions, fields, lambda: b"")


FOX = record("render", "fox", "a fox", "fox, glossy render")
LINE_FOX = record("line", "fox", "a fox", "a drawing of a fox", "a fox in the style of line art")
LINE_OWL = record("line", "owl", "an owl")
PHOTO = record("photo", "fox", "a photo of a fox")


def test_a_bare_caption_means_the_first_style_in_which_there_is_the_thing() -> None:
    styles = styles_of([LINE_FOX, FOX, LINE_OWL, PHOTO], WORDINGS)
    assert styles.captions(FOX) == ("a fox", "fox, glossy render", "a render of a fox", "a 3D fox")
    assert styles.captions(LINE_FOX) == ("a line drawing of a fox", "a fox in the style of line art")
    assert styles.captions(LINE_OWL) == ("an owl", "a line drawing of an owl")
    assert styles.captions(PHOTO) == PHOTO.captions
    assert [styles.is_usual(one) for one in (FOX, LINE_FOX, LINE_OWL, PHOTO)] == [True, False, True, True]
    assert styles.captioned(LINE_FOX).captions[0] == "a line drawing of a fox"


def test_the_order_of_the_wordings_is_that_of_preference() -> None:
    turned = dict(reversed(WORDINGS.items()))
    assert styles_of([FOX, LINE_FOX], turned).captions(LINE_FOX)[0] == "a fox"


def test_usual_pictures_are_shown_more_often() -> None:
    records = [LINE_FOX, FOX, LINE_OWL]
    assert styles_of(records, WORDINGS).order(records, 3) == [0, 1, 1, 1, 2, 2, 2]
    assert styles_of(records, {}).order(records, 3) == [0, 1, 2]


@pytest.mark.parametrize(
    ("things", "expected"),
    [
        ((FOX, FOX), "two foxes"),
        ((LINE_OWL, LINE_OWL), "two foxes"),
        ((LINE_OWL, LINE_FOX), "a line drawing of two foxes"),
    ],
)
def test_a_sentence_names_the_style_unless_it_is_usual_for_all(things: tuple[Record, Record], expected: str) -> None:
    styles = styles_of([FOX, LINE_FOX, LINE_OWL], WORDINGS)
    assert styles.sentence("two foxes", things, Random(0)) == expected


def test_what_names_no_concept_is_left_as_it_is() -> None:
    nameless = Record("one", ("a blue thing", "blue"), {"style": "line"}, lambda: b"")
    another = Record("two", ("a red thing",), {"style": "render"}, lambda: b"")
    styles = styles_of([another, nameless], WORDINGS)
    assert styles.usual == {}
    assert styles.captions(nameless) == ("a blue thing", "blue", "a line drawing of a blue thing")


def test_a_style_without_wordings_and_phrase_keeps_its_captions() -> None:
    bare = Record("bare", ("a fox",), {"style": "plain", "concept": "fox"}, lambda: b"")
    assert styles_of([FOX, bare], {**WORDINGS, "plain": ()}).captions(bare) == ("a fox",)
