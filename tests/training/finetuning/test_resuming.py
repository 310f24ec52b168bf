"""A run of each way to fine-tune leaves the rest of the model alone, and ends the same where it was stopped once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.finetuning.small_runs import KINDS, recipe_of, same, task_in
from tests.training.tiny_tasks import run, stored


def task_loop(kind: str) -> Any:
    """Four steps, with an evaluation in between; a ControlNet's, which draws, only at the end."""
    stage, tables, _, _ = KINDS[kind]
    every = 4 if kind == "controlnet" else 3
    return recipe_of(stage, **tables, loop={"steps": 4, "evaluate_every": every, "precision": "bf16"}).loop


def frozen_of(task: Any) -> list[torch.nn.Parameter]:
    """All weights of the model that are not to learn."""
    made = getattr(task, "own", task).learner.parts
    learning = {id(parameter) for parameter in task.network.parameters()}
    networks = (made.unet, made.text_encoder, made.autoencoder)
    return [one for network in networks for one in network.parameters() if id(one) not in learning]


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_to_learn_changes_and_a_stopped_run_ends_the_same(
    kind: str, model_folder: Path, tmp_path: Path
) -> None:
    through, stopped = tmp_path / "through", tmp_path / "stopped"
    task = task_in(kind, model_folder, through)
    frozen = frozen_of(task)
    before = [parameter.detach().clone() for parameter in frozen]
    run(task, task_loop(kind), through)
    assert frozen
    assert all(map(torch.equal, before, frozen))
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in frozen)
    run(task_in(kind, model_folder, stopped), task_loop(kind), stopped, stop=2)
    run(task_in(kind, model_folder, stopped), task_loop(kind), stopped)
    assert same(stored(through), stored(stopped))
    assert (through / "log.jsonl").read_bytes() == (stopped / "log.jsonl").read_bytes()
    left = [
        path
        for name in ("model", "lora", "embedding", "controlnet")
        for path in (through / name).rglob("*.safetensors")
    ]
    assert left
    for path in left:
        assert path.read_bytes() == (stopped / path.relative_to(through)).read_bytes()
