"""Tiny runs of every stage on a collection that lies on the disk, and what must be the same of two of them."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
import torch

from safelight.data.collection import open_collection
from safelight.training.engine.loop import train
from safelight.training.engine.settings import LoopConfig
from tests.data.shapes import members, write_folder, write_shard
from tests.training.tiny_tasks import TASKS, loop_config


@dataclass(frozen=True)
class Setting:
    """One way to train."""

    stage: str
    accumulate: int
    workers: int
    data: str

    def __str__(self) -> str:
        return f"{self.stage}-{self.accumulate}-{self.workers}-{self.data}"

    def loop(self, **changes: Any) -> LoopConfig:
        """Saves and evaluates at different steps; a step sees six pictures."""
        usual = {"batch_size": 6 // self.accumulate, "save_every": 2, "evaluate_every": 7, "precision": "bf16"}
        return loop_config(**{**usual, "accumulate": self.accumulate, "workers": self.workers, **changes})

    def task(self, home: Path, run: Path) -> Any:
        """The stage with the collection in `home`; `run` keeps what the stage prepares."""
        return TASKS[self.stage](run, open_collection(home / self.data))


EVERY = [
    Setting(stage, accumulate, workers, data)
    for stage in TASKS
    for accumulate in (1, 3)
    for workers in (0, 2)
    for data in ("folder", "shards")
]


def write_collections(home: Path) -> Path:
    """The same pictures as a folder and as two shards."""
    write_folder(home / "folder", "none")
    found = list(members("none").items())
    for number in range(2):
        write_shard(home / "shards" / f"{number}.tar", dict(found[number * 16 : number * 16 + 16]))
    return home


def quick_processes() -> Any:
    """What starts processes that have imported PyTorch before they begin; each is one that can be killed."""
    processes: Any = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__, "torch._dynamo", "torch.utils.tensorboard"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # where the preloaded modules are found
        forkserver.ensure_running()
    return processes


def turn(setting: Setting, home: Path, run: Path, **changes: Any) -> None:
    """Train to the end."""
    torch.set_num_threads(1)
    for _ in train(setting.task(home, run), setting.loop(**changes), run):
        pass


def outcome(run: Path) -> dict[str, bytes]:
    """What a run leaves: weights, average, optimiser and place in one checkpoint, the log, and what is exported."""
    newest = max((run / "checkpoints").glob("*.safetensors"))
    exported = [path for name in ("vae", "clip", "model", "tokenizer") for path in sorted((run / name).rglob("*.*"))]
    files = [newest, run / "log.jsonl", *[path for path in exported if path.is_file()]]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """The names of the files that are not the same, byte for byte."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
