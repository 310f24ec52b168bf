"""Every field of every configuration is explained where it is declared, and printed with that."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator

import pytest

from safelight.training.explanations import explanations
from safelight.training.recipe import Recipe
from safelight.training.recipe_file import read_recipe, to_toml


def tables(kind: type, path: str = "") -> Iterator[tuple[str, type]]:
    """Every dataclass under a recipe, by the name of its table."""
    yield path, kind
    for name, hint in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            yield from tables(typing.cast(type, hint), f"{path}.{name}".lstrip("."))


@pytest.mark.parametrize(("path", "kind"), list(tables(Recipe)))
def test_every_field_is_explained(path: str, kind: type) -> None:
    hints = typing.get_type_hints(kind)
    plain = [field.name for field in dataclasses.fields(kind) if not dataclasses.is_dataclass(hints[field.name])]
    assert [name for name in plain if name not in explanations(kind)] == []


@dataclasses.dataclass
class Example:
    """Of what is read."""

    one: int = 1  # the first, with a # in it
    two: tuple[str, ...] = (
        "a",  # of the value, not of the field
    )  # the second
    three: str = "# no comment"


def test_a_comment_belongs_to_the_field_before_it() -> None:
    assert explanations(Example) == {"one": "the first, with a # in it", "two": "the second"}


def test_what_is_printed_holds_them() -> None:
    printed = to_toml(read_recipe("tiny").clip, "clip")
    assert "warmup = 50  # steps over which the learning rate rises to its value\n" in printed
