"""What is said, and what is meant by it: of every kind of sentence."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from safelight.data.record import Record
from safelight.data.styles import styles_of
from safelight.training.rewording.phrasebook import Pair, Phrasebook, tags_of
from safelight.training.rewording.settings import RewordingConfig
from tests.data.shapes import records

STYLES = {"drawing": ("a drawing of {caption}",), "print": ("a print of {caption}",)}


def things() -> list[Record]:
    """A fox and a red box, drawn and printed, and a star that is printed alone."""
    read = records()[0].read
    return [
        Record(f"{style}-{name}", (f"a {name}",), {"concept": name, "style": style, "tags": tags}, read)
        for name, style, tags in (
            ("fox", "drawing", ["vulpine", "red"]),
            ("fox", "print", ["vulpine"]),
            ("red box", "drawing", ["red", "cube"]),
            ("red box", "print", ["cube"]),
            ("star", "print", []),
        )
    ]


def book(*, found: list[Record] | None = None, **settings: Any) -> Phrasebook:
    given = things() if found is None else found
    config = RewordingConfig(**{"own_share": 0.0, "again_share": 0.0, "name_share": 0.0, **settings})
    return Phrasebook(config, given, styles_of(given, STYLES), ["white", "blue", "orange"], ["zog", "bla"])


def pairs(phrasebook: Phrasebook, count: int = 600) -> set[tuple[str, str]]:
    random = Random(0)
    return {(pair.said, pair.meant) for pair in (phrasebook.pair(random) for _ in range(count))}


def said_of(meant: str, said: str, **settings: Any) -> set[tuple[str, str]]:
    return pairs(book(phrasebook={meant: (said,)}, **settings))


def test_words_that_add_nothing_are_said_of_things_and_of_what_is_composed() -> None:
    found = said_of("{caption}", "my {name} here")
    assert {("my fox here", "a fox"), ("my red box here", "a red box"), ("my star here", "a star")} <= found
    assert any(meant == "a print of a fox" for _, meant in found)
    assert any("fox to the left of" in meant or "fox next to" in meant for _, meant in found)
    assert all(said == f"my {meant.removeprefix('a ')} here" for said, meant in found if meant.startswith("a "))


def test_another_name_for_a_style_means_that_style_of_the_bare_thing() -> None:
    names = ("fox", "red box", "star")
    assert said_of("a print of {caption}", "{name} on paper") == {
        (f"{name} on paper", f"a print of a {name}") for name in names
    }


def test_backgrounds_and_colours() -> None:
    found = said_of("{caption} {background}", "{caption}, {colour}")
    assert ("a fox, blue", "a fox on a blue background") in found
    assert ("a star, orange", "a star on an orange background") in found
    assert not any("white" in said for said, _ in found)
    painted = said_of("{painted}", "{name} in {colour}")
    assert painted == {
        ("fox in blue", "a blue fox"),
        ("fox in orange", "an orange fox"),
        ("star in blue", "a blue star"),
        ("star in orange", "an orange star"),
    }


def test_more_of_a_kind() -> None:
    assert said_of("two {more}", "2 {more}") == {
        ("2 foxes", "two foxes"),
        ("2 red boxes", "two red boxes"),
        ("2 stars", "two stars"),
    }


def test_two_things_are_of_one_style() -> None:
    """The star is usual in print, where no other thing is."""
    assert said_of("{a} above {b}", "{a} riding {b}") == {
        ("a fox riding a red box", "a fox above a red box"),
        ("a red box riding a fox", "a red box above a fox"),
    }


def test_where_no_two_things_are_of_one_style_only_the_others_are_said() -> None:
    phrasebook = {"{a} above {b}": ("{a} riding {b}",), "{caption}": ("one {name}",)}
    assert pairs(book(found=things()[:1], phrasebook=phrasebook)) == {("one fox", "a fox")}


def test_words_that_mean_nothing() -> None:
    found = {said for said, _ in said_of("a print of {caption}", "{name} {word} {word}", words=("snow",))}
    rests = {said.removeprefix("fox ") for said in found if said.startswith("fox ")}
    assert any(rest.startswith("snow ") for rest in rests)
    assert any(rest.split()[0] != rest.split()[1] for rest in rests)
    made_up = {word for rest in rests for word in rest.split()} - {"snow"}
    assert {"zog", "bla", "zogbla"} <= made_up
    assert all(set(word.replace("zog", "").replace("bla", "")) == set() and len(word) <= 9 for word in made_up)


def test_tags_stand_for_things() -> None:
    found = said_of("{caption}", "my {name}", name_share=0.5)
    assert ("my vulpine", "a fox") in found
    assert ("my cube", "a red box") in found
    assert ("my fox", "a fox") in found


def test_names_come_before_tags() -> None:
    names = {"fox": ("reynard", "a cube"), "unicorn": ("a horned horse",)}
    found = said_of("a print of {caption}", "my {name}", name_share=1.0, names=names)
    assert {(said, meant.removeprefix("a print of ")) for said, meant in found} == {
        ("my reynard", "a fox"),
        ("my cube", "a fox"),
        ("my vulpine", "a fox"),
        ("my red", "a red box"),
    }
    two = said_of("{a} above {b}", "{a} riding {b}", name_share=1.0, names=names)
    assert ("a cube riding a red", "a fox above a red box") in two


def test_a_tag_stands_for_the_thing_that_has_it_in_its_name_or_most_often() -> None:
    read = records()[0].read
    shared = [
        Record(str(n), (concept,), {"concept": concept, "tags": ["pet", "tomcat", "fox", "x-ray"]}, read)
        for n, concept in enumerate(["cat", "cat", "tomcat face", "dog", "hen"])
    ]
    found = tags_of([*shared, Record("fox", ("fox",), {"concept": "fox", "tags": ["wild"]}, read)])
    assert found == {"tomcat face": ["tomcat"], "fox": ["wild"]}  # "pet" is shared by four, "fox" is a name
    assert tags_of(shared[:4])["cat"] == ["fox", "pet"]


def test_a_second_sentence_around_the_first() -> None:
    phrasebook = {"{caption}": ("look, {caption}",), "{caption} {background}": ("{caption} over {colour}",)}
    found = pairs(book(phrasebook=phrasebook, again_share=1.0))
    assert ("look, a fox over blue", "a fox on a blue background") in found
    assert ("look, look, a star", "a star") in found
    assert not any(said == "look, a star" for said, _ in found)


def test_its_own_words_are_captions_that_name_the_style_where_it_is_not_usual() -> None:
    found = pairs(book(phrasebook={"{caption}": ("{name}!",)}, own_share=1.0))
    assert all(said == meant for said, meant in found)
    own = {said for said, _ in found}
    assert {"a fox", "a print of a fox", "a fox on a blue background", "a star", "a print of a star"} <= own
    assert any("fox" in said and "red box" in said for said in own)
    shares = [book(phrasebook={"{caption}": ("{name}!",)}, own_share=0.3).pair(Random(n)) for n in range(400)]
    assert 0.2 < sum(not pair.said.endswith("!") for pair in shares) / 400 < 0.4


def test_unseen_sentences() -> None:
    phrasebook = book(phrasebook={"{caption}": ("{name}!",)}, unseen=("{name} abroad",))
    random = Random(0)
    assert {phrasebook.unseen(random) for _ in range(50)} == {
        Pair(f"{name} abroad", f"a {name}") for name in ("fox", "red box", "star")
    }


def test_things_without_concepts_or_styles() -> None:
    found = [replace(record, fields={}) for record in records()[:3]]
    assert ("my red bar", "a red bar") in pairs(book(found=found, phrasebook={"{caption}": ("my {name}",)}))
