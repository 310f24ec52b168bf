"""Muon: beside PyTorch's own for matrices and its AdamW for the rest, resumed exactly, refused where it cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from safelight.errors import BadInput
from safelight.training.engine.muon import COEFFICIENTS, Muon, dtype_on, matrices_of, orthogonal
from tests.training.tiny_tasks import PlainTask, loop_config, run, stored
from tests.weights.references import relative_error

torch.set_num_threads(1)


class Mixed(nn.Module):
    """Some of all: an embedding, matrices that are high, wide and narrow, a convolution, a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(70, 80)
        self.high = nn.Linear(80, 160)
        self.wide = nn.Linear(160, 72)
        self.norm = nn.LayerNorm(72)
        self.narrow = nn.Linear(72, 4)
        self.conv = nn.Conv2d(64, 64, 3)


class WideTask(PlainTask):
    """With a matrix among its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(2, 64, 1), nn.Conv2d(64, 64, 1), nn.Conv2d(64, 2, 1))


def test_singular_values_come_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((3, 64, 64), (2, 64, 200), (2, 200, 64)):
        matrices = torch.randn(shape)
        turned = orthogonal(matrices)
        values = torch.linalg.svdvals(turned)
        assert turned.shape == shape
        # Jordan's coefficients bring what is not nearly 0 to within 0.3 of 1; a square one's smallest are nearly 0.
        assert values.max() < 1.3
        assert values.median() > 0.68
        if shape[1] != shape[2]:
            assert values.min() > 0.6
        u, _, v = torch.linalg.svd(matrices, full_matrices=False)
        aligned = (u.mT @ turned @ v.mT).diagonal(dim1=1, dim2=2)
        torch.testing.assert_close(aligned.sort().values, values.sort().values, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(2, 64, 300), (1, 300, 64), (1, 64, 64)])
def test_gathered_turns_are_the_plain_ones(shape: tuple[int, int, int]) -> None:
    """On matrices whose singular values span six powers of ten, where rounding would show."""
    torch.manual_seed(0)
    u, sizes, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    matrices = u @ torch.diag_embed(torch.logspace(0, -6, sizes.shape[1]).expand_as(sizes)) @ v
    plain = matrices.double() / matrices.double().norm(dim=(1, 2), keepdim=True)
    a, b, c = COEFFICIENTS
    for _ in range(5):
        square = plain @ plain.mT
        plain = a * plain + (b * square + c * square @ square) @ plain
    assert relative_error(orthogonal(matrices), plain) < 1e-4


@pytest.mark.parametrize(("dtype", "error"), [(torch.bfloat16, 0.25), (torch.float16, 0.05)])
def test_turns_in_sixteen_bits_come_near_them(dtype: torch.dtype, error: float) -> None:
    torch.manual_seed(0)
    u, sizes, v = torch.linalg.svd(torch.randn(3, 64, 300), full_matrices=False)
    matrices = u @ torch.diag_embed(torch.logspace(0, -4, sizes.shape[1]).expand_as(sizes)) @ v
    turned = orthogonal(matrices, dtype)
    assert turned.dtype == torch.float32
    assert torch.linalg.svdvals(turned).max() < 1.4
    assert 1e-4 < relative_error(turned, orthogonal(matrices)) < error


def test_on_a_gpu_they_turn_in_half_and_on_a_processor_as_it_is_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dtype_on(torch.device("cuda")) == torch.float16
    for name in ("bfloat16", "float32"):
        dtype_on.cache_clear()
        monkeypatch.setattr("safelight.training.engine.muon.fastest_dtype", lambda device, name=name: name)
        assert dtype_on(torch.device("cpu")) == getattr(torch, name)
    dtype_on.cache_clear()


def test_a_step_turns_in_what_suits_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = {}
    for dtype in (torch.float32, torch.float16):
        monkeypatch.setattr("safelight.training.engine.muon.dtype_on", lambda device, dtype=dtype: dtype)
        torch.manual_seed(0)
        layer = nn.Linear(64, 64)
        layer(torch.randn(3, 64)).square().sum().backward()
        Muon(layer, lr=0.1, betas=(0.9, 0.99), weight_decay=0.0).step()
        moved[dtype] = layer.weight.detach()
    assert not torch.equal(*moved.values())
    torch.testing.assert_close(*moved.values(), rtol=0.05, atol=0.01)


def test_which_weights_are_matrices() -> None:
    network = Mixed()
    chosen = {id(weight) for weight in matrices_of(network)}
    named = {name for name, weight in network.named_parameters() if id(weight) in chosen}
    assert named == {"high.weight", "wide.weight", "conv.weight"}


def test_a_weight_that_two_layers_share_is_one() -> None:
    first, second = nn.Linear(64, 64), nn.Linear(64, 64)
    second.weight = first.weight
    assert len(list(matrices_of(nn.Sequential(first, second)))) == 1


def test_matrices_move_as_with_pytorch_and_the_rest_as_with_adamw() -> None:
    torch.manual_seed(0)
    ours, theirs = Mixed(), Mixed()
    theirs.load_state_dict(ours.state_dict())
    muon = Muon(ours, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    matrices = [theirs.high.weight, theirs.wide.weight]
    others = [weight for name, weight in theirs.named_parameters() if "high.w" not in name and "wide.w" not in name]
    peers = [
        torch.optim.Muon(matrices, lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1),
    ]
    before = {name: weight.detach().clone() for name, weight in ours.named_parameters()}
    for _ in range(4):
        for name, weight in ours.named_parameters():
            weight.grad = torch.randn_like(weight) * 1e-3
            theirs.get_parameter(name).grad = weight.grad.clone()
        for optimiser in (muon, *peers):
            optimiser.step()
    for name, weight in ours.named_parameters():
        moved, peer = weight - before[name], theirs.get_parameter(name) - before[name]
        if name in ("high.weight", "wide.weight"):  # PyTorch iterates in bfloat16, and so do we where that is fast
            allowed = 0.02 if dtype_on(weight.device) == torch.float32 else 0.1
            assert (moved - peer).norm() < allowed * peer.norm()
        elif name != "conv.weight":
            torch.testing.assert_close(moved, peer, rtol=1e-5, atol=1e-7)
    conv = ours.conv.weight - before["conv.weight"]
    assert 0.5 < conv.square().mean().sqrt() / (4 * 0.01 * 0.2) < 1.2


def test_what_has_no_gradient_stays() -> None:
    network = Mixed()
    network.high.weight.grad = torch.ones_like(network.high.weight)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    Muon(network, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1).step()
    assert [name for name, weight in network.named_parameters() if not torch.equal(weight, before[name])] == [
        "high.weight"
    ]


def test_a_closure_may_make_the_gradients() -> None:
    layer = nn.Linear(64, 64)
    before = layer.weight.detach().clone()

    def closure() -> torch.Tensor:
        loss = layer(torch.ones(1, 64)).square().sum()
        loss.backward()
        return loss.detach()

    first, second = (float(Muon(layer, 0.01, (0.9, 0.99), 0.0).step(closure)) for _ in range(2))
    assert not torch.equal(layer.weight, before)
    assert second < first


@pytest.mark.parametrize(("first", "second"), [("adamw", "muon"), ("muon", "adamw")])
def test_a_run_may_take_another_optimiser_whose_memory_is_then_empty(tmp_path: Path, first: str, second: str) -> None:
    run(WideTask(), loop_config(optimiser=first), tmp_path, stop=3)
    with pytest.raises(BadInput, match=f"loop.optimiser is {second}, not {first}"):
        run(WideTask(), loop_config(optimiser=second), tmp_path)
    after = run(WideTask(), loop_config(optimiser=second, allow=("optimiser",)), tmp_path)
    assert [step.step for step in after] == [4, 5, 6, 7, 8]
    counts = [float(value) for name, value in stored(tmp_path).items() if name.endswith("step")]
    assert set(counts) == {5.0}


def test_what_is_restored_lies_beside_its_weight() -> None:
    """As on a GPU, where AdamW's kernel would not take counts of steps that lie elsewhere."""
    network = Mixed()
    here, there = (Muon(each, 0.01, (0.9, 0.99), 0.1) for each in (network, Mixed().to("meta")))
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    here.step()
    there.load_state_dict(here.state_dict())
    assert {value.device.type for state in there.state.values() for value in state.values()} == {"meta"}


def test_a_run_resumes_exactly(tmp_path: Path) -> None:
    config = loop_config(optimiser="muon")
    for folder, stop in (("whole", 10**9), ("parts", 3), ("parts", 10**9)):
        run(WideTask(), config, tmp_path / folder, stop=stop)
    whole, parts = stored(tmp_path / "whole"), stored(tmp_path / "parts")
    assert len([name for name in whole if name.endswith(".mean")]) == 1
    assert len([name for name in whole if name.endswith(".exp_avg_sq")]) == 5
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []


def test_parts_of_matrices_are_refused() -> None:
    with pytest.raises(BadInput, match=r'loop.optimiser is "muon", which needs whole matrices'):
        loop_config(optimiser="muon", strategy="fsdp")
