"""Drawn pictures beside real ones, in the features of one network: FID, KID, precision and recall."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from safelight.errors import BadInput
from safelight.evaluation.figure import Figure, Interval, Unit
from safelight.evaluation.frechet_distance import FEWEST, fid_interval
from safelight.evaluation.kernel_distance import kid_interval
from safelight.evaluation.manifold import NEIGHBOUR, precision, recall

# What is told of any number of pictures that leaves something to compare, and in which unit.
ALWAYS: dict[str, tuple[Callable[[Tensor, Tensor], Interval], Unit]] = {
    "KID": (kid_interval, "number"),
    "precision": (precision, "share"),
    "recall": (recall, "share"),
}


def comparison_figures(judge: str, drawn: Tensor, real: Tensor) -> list[Figure]:
    """KID, precision and recall of the features (n, d) and (m, d) that the network `judge` gave; raises BadInput."""
    if reason := refusal_of_comparison(len(drawn), len(real)):
        raise BadInput(reason)
    return [_figure(name, judge, measure(drawn, real), unit, drawn, real) for name, (measure, unit) in ALWAYS.items()]


def refusal_of_comparison(drawn: int, real: int) -> str:
    """Why so many pictures cannot be compared; empty where they can."""
    if min(drawn, real) > NEIGHBOUR:
        return ""
    return f"{drawn} drawn and {real} real pictures are too few to compare; give {NEIGHBOUR + 1} of each."


def fid_figure(judge: str, drawn: Tensor, real: Tensor, *, fewest: int = FEWEST) -> Figure:
    """FID of the same features; raises BadInput where either set is smaller than `fewest`, and says why."""
    if reason := refusal_of_fid(len(drawn), len(real), fewest=fewest):
        raise BadInput(reason)
    return _figure("FID", judge, fid_interval(drawn, real), "number", drawn, real)


def refusal_of_fid(drawn: int, real: int, *, fewest: int = FEWEST) -> str:
    """Why FID is not told of so many pictures; empty where it is."""
    if min(drawn, real) >= fewest:
        return ""
    return (
        f"FID is not told of {drawn} drawn and {real} real pictures: below {fewest} of each, how many there are moves "
        "it more than what they show. KID has no such bias. --small tells it all the same."
    )


def _figure(name: str, judge: str, interval: Interval, unit: Unit, drawn: Tensor, real: Tensor) -> Figure:
    return Figure(name=name, judge=judge, interval=interval, unit=unit, pictures=len(drawn), real=len(real))
