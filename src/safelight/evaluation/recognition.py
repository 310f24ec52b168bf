"""How often a judge finds what was asked for: shares over all pictures, and by what each was asked to show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from safelight.errors import BadInput
from safelight.evaluation.figure import Figure
from safelight.evaluation.intervals import share

WORST = 10  # listed
PLACES = {"first": 1, "first five": 5}


@dataclass(frozen=True)
class Recognition:
    """Which pictures a judge recognised. rank: the place (n,) of what was asked for among all labels, 0 is the first.

    asked: what each of these pictures was asked to show. groups: what else they are told by, such as their style.
    """

    name: str
    judge: str
    rank: Tensor
    asked: Sequence[str]
    groups: Sequence[str | None]

    @property
    def figures(self) -> list[Figure]:
        """The shares of pictures of which it came first, and among the first five."""
        return [
            Figure(
                name=f"{self.name} {place}",
                judge=self.judge,
                unit="share",
                interval=share(int((self.rank < count).sum()), len(self.rank)),
                pictures=len(self.rank),
            )
            for place, count in PLACES.items()
        ]

    def by_asked(self) -> dict[str, dict[str, Any]]:
        """For each thing that was asked for: pictures, and the shares that were recognised; the worst come first."""
        found = _shares(self.asked, self.rank)
        return dict(sorted(found.items(), key=lambda entry: (entry[1]["first"], entry[1]["first five"], entry[0])))

    def by_group(self) -> dict[str, dict[str, Any]]:
        """The same for each group."""
        return _shares(self.groups, self.rank)

    def worst(self) -> list[str]:
        """What is recognised least, with its share; only what is missed at least once."""
        entries = list(self.by_asked().items())[:WORST]
        return [f"{name} {facts['first']:.0%}" for name, facts in entries if facts["first"] < 1]


def recognition(
    name: str,
    judge: str,
    scores: Tensor,
    labels: Sequence[str],
    asked: Sequence[str | None],
    groups: Sequence[str | None],
) -> Recognition | None:
    """Where what was asked for stands among the scores (n, labels) of each picture.

    Pictures of which nothing was asked, or something that the judge has no label for, are left out; None where none
    is left. A label that scores the same as the one asked for counts as before it.
    """
    places = {label: column for column, label in enumerate(labels)}
    rows = [row for row, label in enumerate(asked) if label in places]
    if not rows:
        return None
    names = [str(asked[row]) for row in rows]
    columns = torch.tensor([places[label] for label in names])
    chosen = scores[rows].float()
    if not bool(chosen.isfinite().all()):
        raise BadInput(f"The {judge} gives scores that are no finite numbers; its weights are damaged.")
    right = chosen.gather(1, columns[:, None])
    rank = (chosen >= right).sum(1) - 1
    return Recognition(name, judge, rank, names, [groups[row] for row in rows])


def _shares(names: Sequence[str | None], rank: Tensor) -> dict[str, dict[str, Any]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        if name is not None:
            rows[name].append(row)
    return {
        name: {"pictures": len(each)}
        | {place: float((rank[each] < count).float().mean()) for place, count in PLACES.items()}
        for name, each in sorted(rows.items())
    }
