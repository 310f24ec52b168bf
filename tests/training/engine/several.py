"""Real processes, started by torchrun, that turn the loop together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from safelight.apps.train import stopped_gently
from safelight.training.engine.loop import train
from safelight.training.engine.processes import Processes, processes_for
from tests.training.tiny_tasks import TASKS, PlainTask, loop_config

TREE = Path(__file__).parents[3]


@dataclass(frozen=True)
class Case:
    """One run: its task, its folder, what is changed in its loop, and the step after which it is closed."""

    task: str
    folder: str
    changes: dict[str, Any] = field(default_factory=dict)
    stop: int = 10**9


def launched(cases: list[Case], processes: int, *options: str) -> subprocess.Popen[str]:
    """torchrun, at work on the cases one after the other."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", *(options or ("--standalone",))]
    given = [f"--nproc-per-node={processes}", "-m", __name__, json.dumps([asdict(case) for case in cases])]
    return subprocess.Popen(
        [*torchrun, *given],
        cwd=TREE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TREE), "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "5"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(cases: list[Case], processes: int) -> None:
    """The same, to the end."""
    started = launched(cases, processes)
    told, _ = started.communicate(timeout=300)
    assert started.returncode == 0, told


def work(case: Case, processes: Processes) -> None:
    """One case, in one of the processes; leaves the samples that it has seen."""
    folder = Path(case.folder)
    config = processes.placed(loop_config(**case.changes))
    with processes.main_first():
        task = PlainTask() if case.task == "plain" else TASKS[case.task](folder)
    with closing(train(task, config, folder, processes=processes)) as steps:
        for step in steps:
            (folder / f"at-{os.environ.get('RANK', '0')}").write_text(f"{os.getpid()} {step.step}")
            if step.step == case.stop:
                steps.close()
    processes.wait()
    (folder / f"seen-{os.environ.get('RANK', '0')}.json").write_text(
        json.dumps(task.seen if isinstance(task, PlainTask) else [])
    )


def losses(folder: Path) -> torch.Tensor:
    """The loss of each step, as the log has it."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return torch.tensor([line["training/loss"] for line in lines if "training/loss" in line])


if __name__ == "__main__":
    torch.set_num_threads(1)
    cases = [Case(**case) for case in json.loads(sys.argv[1])]
    together = processes_for(loop_config(**cases[0].changes))
    with stopped_gently(together.count):  # as the command does: torchrun's SIGTERM is no end in the middle of a step
        for case in cases:
            work(case, together)
    together.end()
