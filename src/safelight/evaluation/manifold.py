"""Precision and recall of drawn pictures (Kynkäänniemi et al. 2019).

A set of pictures stands for a region: a ball around the features of each, as wide as its distance to its third nearest
neighbour. Precision is the share of the drawn pictures within the real ones' region: are they good? Recall is the share
of the real pictures within the drawn ones' region: is everything drawn?
"""

from __future__ import annotations

import torch
from torch import Tensor

from safelight.errors import BadInput
from safelight.evaluation.figure import Interval
from safelight.evaluation.intervals import share
from safelight.evaluation.nearest import nearest, squared_distances

NEIGHBOUR = 3  # section 3.1 of the paper


def precision(drawn: Tensor, real: Tensor) -> Interval:
    """The share of the drawn features (n, d) within the region of the real ones (m, d); raises BadInput for too few."""
    inside = within(drawn, real)
    return share(int(inside.sum()), len(inside))


def recall(drawn: Tensor, real: Tensor) -> Interval:
    """The share of the real features (m, d) within the region of the drawn ones (n, d); raises BadInput for too few."""
    return precision(real, drawn)


def within(points: Tensor, region: Tensor) -> Tensor:
    """Whether each point (n, d) lies in a ball of the region that some others (m, d) stand for: (n,) of bool."""
    if len(region) <= NEIGHBOUR:
        raise BadInput(f"{len(region)} pictures stand for no region; at least {NEIGHBOUR + 1} are needed.")
    points, region = points.double(), region.double()
    radii = nearest(region, region, NEIGHBOUR + 1)[0][:, NEIGHBOUR]  # the first of these neighbours is itself
    return torch.cat([(squares <= radii.square()).any(1) for _, squares in squared_distances(points, region)])
