"""The fields of one JSON file, read with care.

Every complaint names the file, the field, its value and what is allowed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from safelight.errors import BadCheckpoint, BadInput

Value = TypeVar("Value")
Config = TypeVar("Config")

WIDEST = 1_000_000  # no width, size or vocabulary of a network is larger
MOST = 256  # nor are there more layers, blocks or levels


class Fields:
    """A JSON object and the file that it came from."""

    def __init__(self, source: str, values: Mapping[str, Any]) -> None:
        self.source = source
        self.values = values

    @classmethod
    def read(cls, path: Path) -> Fields:
        """The object in a file; raises BadCheckpoint where there is none."""
        try:
            values = json.loads(path.read_text("utf-8"))
        except FileNotFoundError as error:
            raise BadCheckpoint(f"{str(path)!r} is missing; this layout needs it.") from error
        except OSError as error:
            raise BadCheckpoint(f"{str(path)!r} cannot be read: {error.strerror or error}.") from error
        except (ValueError, RecursionError) as error:
            raise BadCheckpoint(f"{str(path)!r} cannot be read as JSON: {error}.") from error
        if not isinstance(values, dict):
            raise BadCheckpoint(f"{str(path)!r} holds a JSON {type(values).__name__}; it must hold an object.")
        return cls(str(path), values)

    def wrong(self, name: str, allowed: str) -> BadCheckpoint:
        """The error for a field whose value cannot be used."""
        return BadCheckpoint(f"{self.source!r}: {name} is {self.values.get(name)!r}; {allowed}.")

    def inner(self, name: str) -> Fields:
        """An object inside this one; an empty one where the field is absent or null."""
        values = self.values.get(name)
        if values is not None and not isinstance(values, dict):
            raise self.wrong(name, "it must be an object")
        return Fields(f"{self.source}: {name}", values or {})

    def integer(self, name: str, default: int, *, most: int = WIDEST) -> int:
        """A whole number from 1 to `most`."""
        value = self.values.get(name, default)
        if not _whole(value) or not 1 <= value <= most:
            raise self.wrong(name, f"it must be a whole number from 1 to {most}")
        return int(value)

    def integers(self, name: str, default: tuple[int, ...] | int, *, count: int | None = None) -> tuple[int, ...]:
        """A list of whole numbers, `count` of them where that is given; then one number may stand for all."""
        value = self.values.get(name, default)
        if count is not None and _whole(value):
            value = [value] * count
        fits = isinstance(value, list | tuple) and all(_whole(entry) and 1 <= entry <= WIDEST for entry in value)
        if not fits or not 1 <= len(value) <= MOST or count not in (None, len(value)):
            raise self.wrong(name, f"it must be {count or 'a list of'} whole numbers from 1 to {WIDEST}")
        return tuple(value)

    def same_integer(self, name: str, default: int, *, count: int, most: int = WIDEST) -> int:
        """A whole number that may be written once, or once for each of `count` levels; it must be the same on all."""
        entries = set(self.integers(name, default, count=count))
        value = entries.pop()
        if entries or value > most:
            raise self.wrong(name, f"it must be one whole number from 1 to {most}, the same on all levels")
        return value

    def number(self, name: str, default: float) -> float:
        """A finite number."""
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong(name, "it must be a number")
        return float(value)

    def choice(self, name: str, default: object, allowed: Mapping[Any, Value]) -> Value:
        """What one of the allowed values stands for."""
        value = self.values.get(name, default)
        if not isinstance(value, str | bool | int | None) or value not in allowed:
            raise self.wrong(name, f"allowed: {_listed(allowed)}")
        return allowed[value]

    def choices(self, name: str, default: tuple[str, ...], allowed: Mapping[str, Value]) -> tuple[Value, ...]:
        """What each of a list of allowed values stands for."""
        values = self.values.get(name, default)
        if not isinstance(values, list | tuple) or not all(isinstance(v, str) and v in allowed for v in values):
            raise self.wrong(name, f"allowed in this list: {_listed(allowed)}")
        return tuple(allowed[value] for value in values)

    def only(self, allowed: Mapping[str, tuple[Any, ...]]) -> None:
        """Refuse every field that asks for what these networks do not have; a list may repeat an allowed value."""
        for name, values in allowed.items():
            if name not in self.values:
                continue
            given = self.values[name]
            entries = given if isinstance(given, list) and given else [given]
            if not all(entry in values for entry in entries):
                raise self.wrong(name, f"allowed: {_listed(values)}")

    def build(self, make: Callable[..., Config], **values: Any) -> Config:
        """A configuration; what it refuses is the file's fault."""
        try:
            return make(**values)
        except BadInput as error:
            raise BadCheckpoint(f"{self.source!r}: {error}") from error


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _listed(values: Mapping[Any, Any] | tuple[Any, ...]) -> str:
    return ", ".join("null" if value is None else json.dumps(value) for value in values)
