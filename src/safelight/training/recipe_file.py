"""A training recipe as one TOML file; its tables and fields are those of the dataclasses in `recipe`."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from safelight.errors import BadInput, unknown_name
from safelight.training.explanations import explanations
from safelight.training.recipe import Recipe

RECIPES = Path(__file__).parent / "recipes"
Config = TypeVar("Config")


def read_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """A recipe by the name of a bundled one or by its file; `changes` are `table.field=value`, with TOML values."""
    path = Path(name)
    if not path.is_file():
        path = RECIPES / f"{name}.toml"
    if not path.is_file():
        raise unknown_name("recipe", name, [recipe.stem for recipe in RECIPES.glob("*.toml")])
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"The recipe {str(path)!r} cannot be read: {error}.") from error
    for change in changes:
        _apply(tables, change)
    return from_table(Recipe, tables, path.name)


def to_toml(config: Any, stage: str = "") -> str:
    """A whole recipe, or that of one `stage`, as TOML that `read_recipe` takes back: in full, each field explained."""
    return "\n".join(_lines(config, (stage,) if stage else ())).lstrip("\n") + "\n"


def from_table(kind: type[Config], table: Any, where: str) -> Config:
    """A dataclass from a TOML table; raises BadInput naming the field, its value and what is allowed."""
    if not isinstance(table, Mapping):
        raise BadInput(f"{where} is {table!r}; it must be a table.")
    hints = typing.get_type_hints(kind)
    for name in table:
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise BadInput(f"{where}.{name} is no field.{hint} Allowed: {', '.join(hints)}.")
    return kind(**{name: _value(hints[name], value, f"{where}.{name}") for name, value in table.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return from_table(typing.cast(type, kind), value, where)
    if origin is Literal:
        if value not in arguments:
            raise BadInput(f"{where} is {value!r}; allowed: {', '.join(map(repr, arguments))}.")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise BadInput(f"{where} is {value!r}; it must be a list.")
        return tuple(_value(arguments[0], entry, f"{where}[{i}]") for i, entry in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise BadInput(f"{where} is {value!r}; it must be a table.")
        return {name: _value(arguments[1], entry, f"{where}.{name}") for name, entry in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, types.GenericAlias) or not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadInput(f"{where} is {value!r}; it must be of type {getattr(kind, '__name__', kind)}.")
    return value


def _apply(tables: dict[str, Any], change: str) -> None:
    path, equals, text = change.partition("=")
    *parents, last = path.strip().split(".")
    if not equals or not last:
        raise BadInput(f"--set {change!r} sets no field; write table.field=value, for example loop.steps=100.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    for name in parents:
        tables = tables.setdefault(name, {})
        if not isinstance(tables, dict):
            raise BadInput(f"--set {change!r}: {name} is {tables!r}, no table; nothing can be set inside it.")
    tables[last] = value


def _lines(config: Any, path: tuple[str, ...]) -> Iterator[str]:
    nested = []
    if path:
        yield f"\n[{'.'.join(path)}]"
    comments = explanations(config.__class__)
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if dataclasses.is_dataclass(value):
            nested.append((entry.name, value))
        else:
            comment = f"  # {comments[entry.name]}" if entry.name in comments else ""
            yield f"{entry.name} = {_literal(value)}{comment}"
    for name, value in nested:
        yield from _lines(value, (*path, name))


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # the one sign that JSON lets stand
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(name)} = {_literal(entry)}" for name, entry in value.items()) + "}"
    return repr(value)
