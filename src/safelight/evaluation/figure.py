"""A figure of a report: its value, between which bounds it lies, and by whose judgement and of how many pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["number", "share"]


@dataclass(frozen=True)
class Interval:
    """A value, and the bounds of its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of a report.

    judge: what looked at the pictures, named by kind and weights ("clip 1f3a9c02"), or by what it does ("pixels"):
    only figures of one judge may be compared. pictures: how many were judged; real: how many they were compared with.
    """

    name: str
    judge: str
    interval: Interval
    pictures: int
    real: int = 0
    unit: Unit = "number"

    @property
    def column(self) -> str:
        """What a table calls the figure: never without its judge."""
        return f"{self.name} ({self.judge})"

    def facts(self) -> dict[str, Any]:
        """The figure as JSON holds it; shares from 0 to 1."""
        interval = self.interval
        bounds = {"value": interval.value, "low": interval.low, "high": interval.high}
        counts = {"pictures": self.pictures, "real": self.real}
        return {"column": self.column, "name": self.name, "judge": self.judge, "unit": self.unit, **bounds, **counts}

    def words(self) -> list[str]:
        """The figure as a row of a table: column, value, interval, pictures, real pictures."""
        value, low, high = (_shown(number, self.unit) for number in vars(self.interval).values())
        return [self.column, value, f"{low} to {high}", str(self.pictures), str(self.real or "")]


def _shown(number: float, unit: Unit) -> str:
    return f"{100 * number:.1f} %" if unit == "share" else f"{number:.4g}"
