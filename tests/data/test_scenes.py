"""Scenes in words: each sentence says where its things are."""

from __future__ import annotations

import re
from itertools import combinations
from random import Random

from safelight.data.record import Record
from safelight.data.scenes import HALF, LARGE, LAYOUTS, SIZES, SMALL, Scene, scene_with, sized
from safelight.data.styles import styles_of

FOX = Record("fox", ("a fox",), {"style": "line"}, lambda: b"")
OWL = Record("owl", ("an owl",), {"style": "line"}, lambda: b"")
GRAPES = Record("grapes", ("grapes",), {"style": "line"}, lambda: b"")
BARE = styles_of([], {})
FIRST_LEFT = (" to the left of ", " left of ", " next to ", " beside ", " and ")
SECOND_LEFT = (" to the right of ", " right of ", " on the right of ")
FIRST_ABOVE = (" above ", " on top of ", " over ")
SECOND_ABOVE = (" under ", " below ", " beneath ")
SIZED = {HALF: "an? ", SMALL: "a (small|little|tiny) ", LARGE: "(an?|a (big|large|huge)) "}


def all_scenes() -> list[Scene]:
    return [scene_with(FOX, [OWL], BARE, Random(seed)) for seed in range(1000)]


def test_the_sentence_fits_the_places() -> None:
    scenes = all_scenes()
    for scene in scenes:
        places = LAYOUTS[scene.layout].places
        if scene.layout in ("two", "three"):
            assert scene.caption == f"{scene.layout} foxes"
            assert scene.things == (FOX,) * {"two": 2, "three": 3}[scene.layout]
            continue
        fox, owl = places
        assert scene.things == (FOX, OWL)
        across = fox.left + fox.size <= owl.left
        assert across or fox.top + fox.size <= owl.top
        first, second = (FIRST_LEFT, SECOND_LEFT) if across else (FIRST_ABOVE, SECOND_ABOVE)
        said_of_fox, said_of_owl = (f"{SIZED[place.size]}{name}" for place, name in ((fox, "fox"), (owl, "owl")))
        fox_leads = rf"{said_of_fox}({'|'.join(first)}){said_of_owl}"
        owl_leads = rf"{said_of_owl}({'|'.join(second)}){said_of_fox}"
        assert re.fullmatch(f"{fox_leads}|{owl_leads}", scene.caption), scene
    assert {scene.layout for scene in scenes} == set(LAYOUTS)


def test_every_word_is_said() -> None:
    said = " ".join(scene.caption for scene in all_scenes())
    words = [
        *FIRST_LEFT,
        *SECOND_LEFT,
        *FIRST_ABOVE,
        *SECOND_ABOVE,
        *(word for size in SIZES.values() for word in size),
    ]
    assert [word for word in words if word not in said] == []


def test_either_thing_leads_as_often() -> None:
    pairs = [scene.caption for scene in all_scenes() if scene.layout not in ("two", "three")]
    turned = sum(any(words in caption for words in (*SECOND_LEFT, *SECOND_ABOVE)) for caption in pairs)
    assert 0.45 < turned / len(pairs) < 0.6


def test_nothing_overlaps_or_leaves_the_picture() -> None:
    for layout in LAYOUTS.values():
        taken = [
            {(y, x) for y in range(p.top, p.top + p.size) for x in range(p.left, p.left + p.size)}
            for p in layout.places
        ]
        assert all(not a & b for a, b in combinations(taken, 2))
        assert set().union(*taken) <= {(y, x) for y in range(16) for x in range(16)}


def test_what_has_no_plural_is_not_counted() -> None:
    layouts = {scene_with(GRAPES, [OWL], BARE, Random(seed)).layout for seed in range(200)}
    assert layouts == {name for name, layout in LAYOUTS.items() if not layout.counts}


def test_a_size_stands_before_the_name() -> None:
    assert {sized("an owl", SMALL, Random(seed)) for seed in range(40)} == {"a small owl", "a little owl", "a tiny owl"}
    assert {sized("grapes", SMALL, Random(seed)) for seed in range(40)} == {
        "small grapes",
        "little grapes",
        "tiny grapes",
    }
    assert sized("an owl", HALF, Random(0)) == "an owl"
