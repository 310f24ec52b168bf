"""Recomputed and compiled blocks: the same gradients and names, less memory."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.profiler import profile

from safelight.training.engine.blocks import blocks_of, compile_blocks, recompute_blocks
from safelight.training.engine.noise import SampleNoise
from safelight.training.engine.stream import batches
from tests.training.distillation.tiny_students import student_task
from tests.training.finetuning.small_runs import task_in
from tests.training.tiny_tasks import TASKS, loop_config, run, stored

torch.set_num_threads(1)


def gradients(task: Any) -> tuple[list[torch.Tensor | None], int]:
    """Of one batch, and the bytes that the way forward leaves for the way back."""
    batch = next(iter(batches(task, loop_config(), 0)))
    task.network.zero_grad()
    with profile(profile_memory=True) as measured:
        loss = task.loss(batch.samples, SampleNoise(0, range(4)))["loss"]
    kept = sum(event.self_cpu_memory_usage for event in measured.events())
    loss.backward()
    return [weight.grad for weight in task.network.parameters()], kept


@pytest.mark.parametrize("name", TASKS)
def test_recomputed_blocks_have_the_same_gradients_and_keep_less(tmp_path: Path, name: str) -> None:
    task = TASKS[name](tmp_path)
    names = [path for path, _ in task.network.named_parameters()]
    assert list(blocks_of(task.network))
    expected, before = gradients(task)
    recompute_blocks(task.network)
    recompute_blocks(task.network)  # a second time changes nothing
    found, after = gradients(task)
    assert [path for path, _ in task.network.named_parameters()] == names
    for one, other in zip(expected, found, strict=True):
        assert (one is None) == (other is None)
        assert one is None or other is None or torch.equal(one, other)
    assert after < 0.8 * before


def test_a_run_that_recomputes_is_the_same_run(tmp_path: Path) -> None:
    for choice in (False, True):
        task = TASKS["diffusion"](tmp_path)
        run(task, loop_config(steps=3, recompute=choice), tmp_path / str(choice))
    one, other = stored(tmp_path / "False"), stored(tmp_path / "True")
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_a_network_that_recomputes_can_be_copied(tmp_path: Path) -> None:
    task = TASKS["diffusion"](tmp_path)
    recompute_blocks(task.network)
    twin = copy.deepcopy(task.network)
    assert all(block.forward.forward.__self__ is block for block in blocks_of(twin))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("kind", "networks"),
    [("lora", 1), ("lora of all", 2), ("lora beside bf16", 1), ("word", 2), ("controlnet", 1), ("prior", 1)],
)
def test_what_stays_as_it_is_recomputes_too_where_gradients_pass(
    model_folder: Path, tmp_path: Path, kind: str, networks: int
) -> None:
    task = task_in(kind, model_folder, tmp_path)
    assert len(task.frozen) == networks
    expected, before = gradients(task)
    for network in task.frozen:
        assert list(blocks_of(network))
        recompute_blocks(network)
    found, after = gradients(task)
    for one, other in zip(expected, found, strict=True):
        assert (one is None) == (other is None)
        assert one is None or other is None or torch.equal(one, other)
    assert after < before


def test_a_run_asks_for_it(model_folder: Path, tmp_path: Path) -> None:
    task = task_in("lora", model_folder, tmp_path)
    run(task, loop_config(steps=1, recompute=True), tmp_path / "run")
    assert all(type(block.forward).__name__ == "_Recomputed" for block in blocks_of(task.frozen[0]))


def test_a_student_beside_its_teacher_is_among_them(tmp_path: Path) -> None:
    task = student_task(tmp_path, "trajectories", learner="lora", highest_guidance=3.0)
    assert task.student.parts.unet in task.frozen
    assert task.student.parts.unet is not task.teacher.parts.unet


def test_compiling_keeps_names_and_is_asked_of_every_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module, dynamic: asked.append(module))
    task = TASKS["clip"](tmp_path)
    run(task, loop_config(steps=1, compile=True), tmp_path / "run")
    assert asked == list(blocks_of(task.network))


@pytest.mark.slow
def test_compiled_blocks_compute_the_same(tmp_path: Path) -> None:
    task = TASKS["diffusion"](tmp_path)
    expected, _ = gradients(task)
    compile_blocks(task.network)
    found, _ = gradients(task)
    for one, other in zip(expected, found, strict=True):
        assert one is None or other is None or torch.allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_compiled_blocks_compute_the_same_with_a_lora_beside_them(tmp_path: Path) -> None:
    task = student_task(tmp_path, "trajectories", learner="lora", highest_guidance=3.0)
    with torch.no_grad():
        for weight in task.network.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    expected, _ = gradients(task)
    for network in task.frozen:
        compile_blocks(network)
    found, _ = gradients(task)
    for one, other in zip(expected, found, strict=True):
        assert one is not None
        assert other is not None
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)
