"""What an evaluation has found, as one JSON object and as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from safelight.evaluation.figure import Figure
from safelight.evaluation.recognition import Recognition

HEAD = ["figure (by whom)", "value", "95 % interval", "pictures", "real"]


@dataclass
class Report:
    """facts: what was evaluated, and how. left_out: sentences that say what is not told, and why."""

    facts: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)
    recognitions: list[Recognition] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def recognised(self, found: Recognition | None) -> None:
        """Add how often a judge found what was asked for, if anything was."""
        if found is not None:
            self.figures += found.figures
            self.recognitions.append(found)

    def add(self, figure: Figure | None) -> None:
        """Add a figure, if there is one."""
        if figure is not None:
            self.figures.append(figure)

    def json(self) -> dict[str, Any]:
        """Everything; shares from 0 to 1."""
        return {
            **self.facts,
            "figures": [figure.facts() for figure in self.figures],
            "recognised": {
                f"{found.name} ({found.judge})": {"by_asked": found.by_asked(), "by_group": found.by_group()}
                for found in self.recognitions
            },
            "left_out": self.left_out,
        }

    def lines(self) -> list[str]:
        """A table of the figures, then what was recognised least, by style, and what is left out."""
        lines = aligned([HEAD, *(figure.words() for figure in self.figures)]) if self.figures else []
        for found in self.recognitions:
            title = f"{found.name} ({found.judge})"
            if len(groups := found.by_group()) > 1:
                lines.append(f"{title} by style: " + ", ".join(f"{k} {v['first']:.0%}" for k, v in groups.items()))
            if worst := found.worst():
                lines.append(f"{title}, found least: {', '.join(worst)}")
        return [*lines, *self.left_out]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of words as lines of columns: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(word.rjust(width) for word, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
