"""The noise law of training, from and to a scheduler's folder in the diffusers layout."""

from __future__ import annotations

from pathlib import Path

from safelight.configs import ScheduleConfig
from safelight.weights.fields import Fields
from safelight.weights.files import write_json
from safelight.weights.schedule_config import (
    read_schedule_config,
    write_distilled_config,
    write_noise_config,
    write_schedule_config,
)
from safelight.weights.whole_folder import whole_folder

NAME = "scheduler_config.json"


def load_schedule(folder: Path | str) -> ScheduleConfig:
    """The noise law that a scheduler's folder holds; raises BadCheckpoint."""
    return read_schedule_config(Fields.read(Path(folder) / NAME))


def save_schedule(folder: Path | str, schedule: ScheduleConfig, sampler: str | None = None) -> None:
    """Write a noise law as a scheduler's folder; raises BadInput.

    sampler: the only one that the model draws with, where it was distilled for one.
    """
    config = write_schedule_config(schedule) if sampler is None else write_distilled_config(schedule, sampler)
    with whole_folder(Path(folder), mark=NAME) as partial:
        write_json(partial / NAME, config)


def save_noise_schedule(folder: Path | str, schedule: ScheduleConfig) -> None:
    """Write the law of the noise that is added to what a network is shown; raises BadInput."""
    with whole_folder(Path(folder), mark=NAME) as partial:
        write_json(partial / NAME, write_noise_config(schedule))
