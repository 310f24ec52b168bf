"""Fixtures of the diffusion tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from safelight.configs import ScheduleConfig
from safelight.diffusion.schedule import Schedule


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """The networks here are tiny: more threads only get in each other's way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def schedule() -> Schedule:
    """Stable Diffusion's."""
    return Schedule(ScheduleConfig())
