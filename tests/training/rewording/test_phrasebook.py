"""What is said, and what is meant by it: of every kind of sentence."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from safelight.data.record import Record
from safelight.data.styles import styles_of
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.rewording.phrasebook import Pair, Phrasebook, other_names
from safelight.training.rewording.settings import RewordingConfig
from tests.data.shapes import records

STYLES = {"drawing": ("a drawing of {caption}",), "print": ("a print of {caption}",)}


def things() -> list[Record]:
    """A fox and a red box, drawn and printed, and a star that is printed alone; what was derived from them last."""
    found = [
        thing(name, style, tags)
        for name, style, tags in (
            ("fox", "drawing", ["Vulpine", "red"]),
            ("fox", "print", ["vulpine"]),
            ("red box", "drawing", ["red", "cube"]),
            ("red box", "print", ["cube"]),
            ("star", "print", []),
        )
    ]
    painted = replace(found[0], captions=("a spotted fox",), fields={**found[0].fields, "derived_from": "drawing-fox"})
    return [*found, painted]


def thing(name: str, style: str = "drawing", tags: Any = ()) -> Record:
    fields = {"concept": name, "style": style, "tags": tags}
    return Record(f"{style}-{name}", (f"a {name}",), fields, records()[0].read)


def book(*, found: list[Record] | None = None, data: dict[str, Any] | None = None, **settings: Any) -> Phrasebook:
    given = things() if found is None else found
    config = RewordingConfig(**{"own_share": 0.0, "again_share": 0.0, "name_share": 0.0, **settings})
    seen = DiffusionDataConfig(**{"colours": ("white", "blue", "orange"), "caption_dropout": 0.0, **(data or {})})
    return Phrasebook(config, given, styles_of(given, STYLES), seen, ["zog", "bla"])


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
    assert not any(meant == "a spotted fox" for _, meant in found)
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


def test_the_share_that_is_said_of_two_things() -> None:
    """However many sentences there are for either."""
    phrasebook = {"{a} above {b}": ("{a} riding {b}", "{a} on {b}", "{a} atop {b}"), "{caption}": ("one {name}",)}
    for share in (0.0, 0.25, 1.0):
        made = book(phrasebook=phrasebook, two_share=share)
        two = sum("one" not in made.pair(Random(seed)).said for seed in range(800))
        assert two / 800 == pytest.approx(share, abs=0.05)


def test_where_no_two_things_are_of_one_style_only_the_others_are_said() -> None:
    phrasebook = {"{a} above {b}": ("{a} riding {b}",), "{caption}": ("one {name}",)}
    assert pairs(book(found=[thing("fox")], phrasebook=phrasebook)) == {("one fox", "a fox")}


def test_where_no_thing_has_a_plural_or_may_be_painted_only_the_others_are_said() -> None:
    phrasebook = {"two {more}": ("2 {more}",), "{painted}": ("{name} in {colour}",), "{caption}": ("one {name}",)}
    found = [replace(thing("red grapes"), captions=("red grapes",))]
    assert pairs(book(found=found, phrasebook=phrasebook)) == {("one red grapes", "red grapes")}
    assert not book(found=found, phrasebook={"two {more}": ("2 {more}",)}).entries


def test_words_that_mean_nothing() -> None:
    """The fox and the star are none of them; a box may be, where red boxes alone are known."""
    words = ("snow", "fox", "a star", "box")
    found = {said for said, _ in said_of("a print of {caption}", "{name} {word} {word}", words=words)}
    rests = [said.removeprefix("star ").split() for said in found if said.startswith("star ")]
    assert all(len(rest) == 2 for rest in rests)
    assert any(rest[0] != rest[1] for rest in rests)
    said = {word for rest in rests for word in rest}
    assert "snow" in said
    assert "box" in said
    made_up = said - {"snow", "box"}
    assert {"zogbla", "blabla", "blazogzog"} <= made_up
    assert all(not word.replace("zog", "").replace("bla", "") and 6 <= len(word) <= 12 for word in made_up)


def test_where_no_word_means_nothing_sentences_with_one_are_not_said() -> None:
    phrasebook = {"{caption}": ("{word} {name}", "my {name}")}
    given = [record for record in things() if "derived_from" not in record.fields]
    config = RewordingConfig(phrasebook=phrasebook, own_share=0.0)
    bare = Phrasebook(config, given, styles_of(given, STYLES), DiffusionDataConfig(colours=("white",)), [])
    assert all("my" in said for said, _ in pairs(bare))
    worded = replace(config, words=("snow",))
    said = pairs(Phrasebook(worded, given, styles_of(given, STYLES), DiffusionDataConfig(colours=("white",)), []))
    assert ("snow fox", "a fox") in said


def test_tags_stand_for_things() -> None:
    found = said_of("{caption}", "my {name}", name_share=0.5)
    assert ("my vulpine", "a fox") in found
    assert ("my cube", "a red box") in found
    assert ("my fox", "a fox") in found
    assert not any(said == "my red" for said, _ in found)


def test_names_come_before_tags() -> None:
    names = {"fox": ("reynard", "a cube"), "unicorn": ("a horned horse",), "star": ()}
    found = said_of("a print of {caption}", "my {name}", name_share=1.0, names=names)
    assert {(said, meant.removeprefix("a print of ")) for said, meant in found} == {
        ("my reynard", "a fox"),
        ("my cube", "a fox"),
        ("my vulpine", "a fox"),
    }
    two = said_of("{a} above {b}", "{a} riding {b}", name_share=1.0, names=names)
    assert ("a cube riding a red box", "a fox above a red box") in two


def test_a_tag_stands_for_the_thing_whose_last_word_it_is_or_that_has_it_most_often() -> None:
    shared = ["pet", "tomcat", "fox", "x-ray", "ox", "on", "furry"]
    found = [thing(name, tags=shared) for name in ("cat", "cat", "wild tomcat", "dog", "hen")]
    known = dict.fromkeys(("cat", "wild tomcat", "dog", "hen", "fox"), found[0])
    given = [*found, thing("fox", tags="wild, fiery ")]
    names = other_names({}, given, known, {"furry"})
    assert names == {"wild tomcat": ["a tomcat"], "fox": ["a fiery", "a wild"]}  # four share "pet", "fox" is a name
    assert other_names({}, given[:4], known, set())["cat"] == ["a fox", "a furry", "a pet"]
    assert other_names({}, [thing("cat", tags=tags) for tags in (7, None, [7])], known, set()) == {}


def test_what_is_a_name_already_means_that() -> None:
    found = [thing("moon"), thing("new moon"), thing("man")]
    phrasebook = {"{caption}": ("a new {name}", "an old {name}")}
    made = pairs(book(found=found, phrasebook=phrasebook, names={"man": ("an old moon",)}))
    assert ("a new moon", "a new moon") in made
    assert ("an old moon", "a man") in made
    assert ("an old man", "a man") in made
    assert not {("a new moon", "a moon"), ("an old moon", "a moon")} & made


def test_a_second_sentence_around_the_first() -> None:
    phrasebook = {"{caption}": ("look, {caption}",), "{caption} {background}": ("{caption} over {colour}",)}
    found = pairs(book(phrasebook=phrasebook, again_share=1.0))
    assert ("look, a fox over blue", "a fox on a blue background") in found
    assert ("look, look, a star", "a star") in found
    assert not any(said == "look, a star" for said, _ in found)


def test_two_things_may_each_be_said_to_be_like_something() -> None:
    phrasebook = {"{a} above {b}": ("{a} riding {b}",), "{caption}": ("a proud {name}", "{name} at home")}
    made = pairs(book(phrasebook=phrasebook, again_share=0.9), count=3000)
    found = {said for said, meant in made if meant == "a fox above a red box"}
    assert {"a proud fox riding a proud red box", "a blue fox riding a proud red box"} <= found
    assert not any("at home riding" in said or "blue red" in said for said in found)
    assert not any("proud" in said for said, _ in pairs(book(phrasebook=phrasebook)) if "riding" in said)


def test_of_two_things_neither_is_made_what_a_picture_shows() -> None:
    """Scenes show how big a thing is; "a blue moon" is a name here, and the box is red already."""
    phrasebook = {"{a} above {b}": ("{a} riding {b}",), "{caption}": ("a tiny {name}", "an old {name}")}
    names = {"star": ("an old fox",), "red box": ("a crate",)}
    found = [thing("fox"), thing("red box"), thing("star")]
    made = pairs(book(found=found, phrasebook=phrasebook, names=names, again_share=0.9, name_share=0.5), count=3000)
    two = [(said, meant) for said, meant in made if " riding " in said]
    assert not any("riding a tiny" in said for said, _ in two)
    assert not any("blue crate" in said or "orange crate" in said for said, _ in two)
    old = {meant.split(" above ")[1] for said, meant in two if said.endswith("riding an old fox")}
    assert old == {"a star"}


def test_a_name_that_a_sentence_says_where_something_is_stands_for_none_of_two() -> None:
    phrasebook = {"{a} above {b}": ("{a} on {b}",), "{caption}": ("{caption} on a table",)}
    found = [thing("fox"), thing("desk")]
    made = pairs(book(found=found, phrasebook=phrasebook, names={"desk": ("a table", "a bench")}, name_share=0.5))
    assert {meant for said, meant in made if said == "a fox on a table"} == {"a fox"}
    assert ("a fox on a bench", "a fox above a desk") in made
    phrasebook["{caption}"] = ("{caption} on a {word}",)
    made = pairs(
        book(found=found, phrasebook=phrasebook, names={"desk": ("a bench",)}, words=("bench", "desk"), name_share=0.5)
    )
    assert {meant for said, meant in made if said == "a fox on a bench"} == {"a fox"}
    assert ("a bench on a fox", "a desk above a fox") not in made
    assert ("a fox on a desk", "a fox above a desk") in made
    assert {meant for said, meant in made if said.startswith("a bench on a ")} == {"a desk"}


def test_around_others_stand_sentences_that_say_nothing_of_number_and_colour() -> None:
    phrasebook = {
        "{caption}": ("many {more}", "{caption} in {colour} light"),
        "{caption} {background}": ("{name}, {colour}",),
    }
    found = pairs(book(phrasebook=phrasebook, again_share=1.0))
    assert ("fox, blue", "a fox on a blue background") in found
    assert ("many foxes", "a fox") in found
    assert not any("many" in said and "blue" in said for said, _ in found)


def test_its_own_words_are_captions_that_name_the_style_where_it_is_not_usual() -> None:
    found = pairs(book(phrasebook={"{caption}": ("{name}!",)}, own_share=1.0))
    assert all(said == meant for said, meant in found)
    own = {said for said, _ in found}
    assert {"a fox", "a print of a fox", "a fox on a blue background", "a star", "a print of a star"} <= own
    assert "a spotted fox" in own
    assert any("fox" in said and "red box" in said for said in own)
    worded = pairs(book(phrasebook={"{caption}": ("{name}!",)}, own_share=1.0, data={"wordings": ("draw {caption}",)}))
    assert ("draw a fox",) * 2 in worded
    assert not any("draw a print" in said for said, _ in worded)
    silent = [book(own_share=1.0, data={"caption_dropout": 0.3}).pair(Random(n)).said for n in range(400)]
    assert 0.2 < silent.count("") / 400 < 0.4
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
