"""The optimisers by name, and that what they keep comes back exactly whatever its shape."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from safelight.errors import BadInput
from tests.training.tiny_tasks import PlainTask, loop_config, run, stored

torch.set_num_threads(1)


class Coarse(torch.optim.Optimizer):
    """Keeps what bitsandbytes keeps: bytes laid out as the weight, a shared table, a plain number, a mapping."""

    def __init__(self, parameters: Any, lr: float, betas: tuple[float, float], weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr})
        self.levels = torch.linspace(-1, 1, 256)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    bytes_of = torch.full_like(weight, 128, dtype=torch.uint8)
                    state.update(step=0, within={"levels": self.levels, "bytes": bytes_of})
                state["step"] += 1
                assert isinstance(state["step"], int)
                within = state["within"]
                moment = 0.9 * self.levels[within["bytes"].long()] + 0.1 * weight.grad
                within["bytes"] = (moment.clamp(-1, 1) * 127 + 128).to(torch.uint8)
                weight.data.add_(moment / state["step"], alpha=-group["lr"])


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    package, module = types.ModuleType("bitsandbytes"), types.ModuleType("bitsandbytes.optim")
    module.AdamW8bit = Coarse  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bitsandbytes", package)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", module)


def test_eight_bits_resume_exactly(tmp_path: Path, coarse: None) -> None:
    config = loop_config(optimiser="adamw8bit")
    run(PlainTask(), config, tmp_path / "whole")
    run(PlainTask(), config, tmp_path / "parts", stop=3)
    run(PlainTask(), config, tmp_path / "parts")
    whole, parts = stored(tmp_path / "whole"), stored(tmp_path / "parts")
    assert whole["optimiser/0.within.bytes"].dtype == torch.uint8
    assert int(whole["optimiser/0.step="]) == 8
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []


def test_what_it_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(BadInput, match=r"needs bitsandbytes: pip install 'safelight\[eightbit\]'"):
        run(PlainTask(), loop_config(optimiser="adamw8bit"), tmp_path)


def test_with_bitsandbytes_itself_a_run_resumes_exactly(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    config = loop_config(optimiser="adamw8bit")
    for folder, stop in (("whole", 10**9), ("parts", 3), ("parts", 10**9)):
        run(PlainTask(channels=300), config, tmp_path / folder, stop=stop)
    whole, parts = stored(tmp_path / "whole"), stored(tmp_path / "parts")
    assert any(tensor.dtype == torch.uint8 for tensor in whole.values())
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []
