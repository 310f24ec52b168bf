"""Time two things in turn, so that what slows the machine slows both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def compare(what: str, ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> float:
    """Print both medians and the median of the rounds' ratios, after one round to warm up; returns that ratio."""
    ours()
    theirs()
    pairs = [
        (seconds(ours), seconds(theirs)) if i % 2 == 0 else (seconds(theirs), seconds(ours))[::-1]
        for i in range(rounds)
    ]
    ratio = statistics.median(mine / peer for mine, peer in pairs)
    mine, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{what:44}  ours {mine:8.3f} s   diffusers {peer:8.3f} s   ratio {ratio:.2f}", flush=True)
    return ratio
