"""How much the pictures of one prompt differ: a model that draws the same for every seed has none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from safelight.evaluation.figure import Figure
from safelight.evaluation.intervals import mean


def diversity_figure(judge: str, features: Tensor, prompts: Sequence[str]) -> Figure | None:
    """The mean of 1 - cos between the features (n, d) of two pictures of one prompt; None where each prompt has one."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, prompt in enumerate(prompts):
        rows[prompt].append(row)
    several = [each for each in rows.values() if len(each) > 1]
    if not several:
        return None
    unit = functional.normalize(features.double(), dim=1)
    values = torch.stack([_apart(unit[each]) for each in several])
    return Figure(name="diversity", judge=judge, interval=mean(values), pictures=sum(map(len, several)))


def _apart(unit: Tensor) -> Tensor:
    """The mean of 1 - cos over all pairs of different rows of length 1."""
    count = len(unit)
    return 1 - (unit.sum(0).square().sum() - count) / (count * (count - 1))
