"""Scenes in words: each sentence says where its things are."""

from __future__ import annotations

from random import Random

from safelight.data.record import Record
from safelight.data.scenes import PLACES, scene_with
from safelight.data.styles import styles_of

FOX = Record("fox", ("a fox",), {"style": "line"}, lambda: b"")
OWL = Record("owl", ("an owl",), {"style": "line"}, lambda: b"")
GRAPES = Record("grapes", ("grapes",), {"style": "line"}, lambda: b"")
BARE = styles_of([], {})
FIRST_LEFT = ("a fox to the left of", "a fox left of", "a fox next to", "a fox beside", "a fox and")
FIRST_ABOVE = ("a fox above", "a fox on top of", "a fox over")


def test_the_sentence_fits_the_places() -> None:
    scenes = [scene_with(FOX, [OWL], BARE, Random(seed)) for seed in range(300)]
    for scene in scenes:
        (top, left), (below, right) = PLACES[scene.layout][:2]
        if scene.layout in ("two", "three"):
            assert scene.caption == f"{scene.layout} foxes"
            assert scene.things == (FOX,) * len(PLACES[scene.layout])
        elif scene.layout == "across":
            assert top == below and left < right and scene.things == (FOX, OWL)
            assert scene.caption.startswith((*FIRST_LEFT, "an owl to the right of", "an owl right of"))
        else:
            assert left == right and top < below and scene.things == (FOX, OWL)
            assert scene.caption.startswith((*FIRST_ABOVE, "an owl under", "an owl below"))
    assert {scene.layout for scene in scenes} == set(PLACES)
    assert len({scene.caption for scene in scenes}) == 2 + 7 + 5


def test_what_has_no_plural_is_not_counted() -> None:
    assert {scene_with(GRAPES, [OWL], BARE, Random(seed)).layout for seed in range(50)} == {"across", "down"}
