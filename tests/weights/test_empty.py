"""Networks that are built to be filled: nothing is allocated, drawn, or imported for it."""

import subprocess
import sys

import torch
from torch import nn

from safelight.weights.empty import without_weights

LAYERS = (
    lambda: nn.Linear(2, 3),
    lambda: nn.Conv2d(2, 3, 3),
    lambda: nn.Embedding(5, 4),
    lambda: nn.GroupNorm(2, 4),
    lambda: nn.LayerNorm(4),
    lambda: nn.MultiheadAttention(4, 2),
    lambda: nn.init.normal_(nn.Parameter(torch.empty(3)), std=0.02),
    lambda: nn.init.zeros_(tensor=nn.Linear(2, 2).weight),
)


def test_nothing_is_allocated_or_drawn() -> None:
    before = torch.get_rng_state()
    for make in LAYERS:
        with without_weights():
            made = make()
        tensors = made.state_dict().values() if isinstance(made, nn.Module) else [made]
        assert all(tensor.is_meta for tensor in tensors)
    assert torch.equal(torch.get_rng_state(), before)


def test_layers_built_afterwards_are_drawn_again() -> None:
    with without_weights():
        nn.Linear(2, 2)
    assert nn.Linear(2, 2).weight.std() > 0


def test_opening_a_model_does_not_wake_the_compiler() -> None:
    """torch imports 800 modules for the first weight drawn on the meta device, which takes a second."""
    code = "import safelight, sys; safelight.load(); print(sorted({'sympy', 'torch._dynamo'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
