"""Muon (Jordan et al. 2024): steps of a matrix that are as large in every direction.

The gradients of a network's matrices have a few strong directions, and AdamW's steps follow these; what is rare in the
data lies in the weak ones. Here the momentum of each matrix is made orthogonal before it is applied. On small
networks that learn many things by heart, a step so made gets as far as one and a half of AdamW's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adamw import adamw

from safelight.placement import fastest_dtype

SMALLEST = 64  # the shorter side of a matrix that is worth the trouble
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of a polynomial that brings singular values near 1 in five turns (Jordan)
TURNS = (2, 3)  # the five; between these two, the square matrix that they work on is made anew


class Muon(Optimizer):
    """Muon for the matrices inside a network, AdamW for all else that it learns.

    Matrices are the weights of linear layers and convolutions (channels out x all else); embeddings, norms, biases and
    what is narrower than 64 are left to AdamW. An update has 0.2 of root mean square, as AdamW's have (Liu et al. 2025,
    arXiv:2502.16982, section 2.2), so that one learning rate and one weight decay suit both.
    """

    def __init__(
        self, network: nn.Module, lr: float, betas: tuple[float, float], weight_decay: float, momentum: float = 0.95
    ) -> None:
        matrices = list(matrices_of(network))
        known = {id(weight) for weight in matrices}
        others = [weight for weight in network.parameters() if id(weight) not in known]
        groups = [{"params": matrices, "matrices": True}, {"params": others, "matrices": False}]
        settings = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "momentum": momentum}
        settings["fused"] = True  # AdamW's kernel; where it stands, counts of steps are restored beside their weights
        super().__init__([group for group in groups if group["params"]], settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; `closure` may make the gradients, and its loss is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            learning = [weight for weight in group["params"] if weight.grad is not None]
            if group["matrices"]:
                self._turn(learning, group["lr"], group["weight_decay"], group["momentum"])
            else:
                self._scale(learning, group["lr"], group["weight_decay"], group["betas"])
        return loss

    def _turn(self, matrices: list[Tensor], rate: float, decay: float, momentum: float) -> None:
        alike: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
        for weight in matrices:
            alike[sides(weight)].append(weight)
        for (out, into), weights in alike.items():
            pushes = [self._push(weight, momentum).reshape(out, into) for weight in weights]
            stack = torch.stack(pushes)
            updates = orthogonal(stack, dtype_on(stack.device)) * (0.2 * max(out, into) ** 0.5)
            for weight, update in zip(weights, updates, strict=True):
                weight.mul_(1 - rate * decay).sub_(update.reshape(weight.shape), alpha=rate)

    def _push(self, weight: Tensor, momentum: float) -> Tensor:
        """The gradient beside its mean so far, which is moved on (Nesterov's momentum)."""
        state = self.state[weight]
        if not state:
            state["mean"] = torch.zeros_like(weight)
        gradient = weight.grad
        assert gradient is not None
        mean: Tensor = state["mean"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(mean, momentum)

    def _scale(self, weights: list[Tensor], rate: float, decay: float, betas: tuple[float, float]) -> None:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] |= {
                    "step": torch.zeros((), device=weight.device),
                    "exp_avg": torch.zeros_like(weight),
                    "exp_avg_sq": torch.zeros_like(weight),
                }
        states = [self.state[weight] for weight in weights]
        adamw(
            weights,
            [weight.grad for weight in weights if weight.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=betas[0],
            beta2=betas[1],
            lr=rate,
            weight_decay=decay,
            eps=1e-8,
            maximize=False,
        )


def matrices_of(network: nn.Module) -> Iterator[Tensor]:
    """The weights of its linear layers and convolutions that are wide enough, each once."""
    seen = set()
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) and id(module.weight) not in seen:
            seen.add(id(module.weight))
            if min(sides(module.weight)) >= SMALLEST:
                yield module.weight


def sides(weight: Tensor) -> tuple[int, int]:
    """How high and wide a weight is as a matrix: its channels out, and all that each of them reads."""
    return weight.shape[0], weight[0].numel()


@cache
def dtype_on(device: torch.device) -> torch.dtype:
    """In which a device turns matrices: in 16 bits where it multiplies faster so; on a GPU in the more exact half."""
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if fastest_dtype(device) == "bfloat16" else torch.float32


def orthogonal(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Matrices (n, out, in) with the same singular vectors and all singular values between about 0.7 and 1.2.

    Newton and Schulz's iteration, with Jordan's coefficients: X becomes (a + b S + c S²) X, where S = X Xᵀ. Each turn
    is a polynomial of S, and so is the next turn's S; hence the turns are gathered as a product of small square
    matrices and applied to X once ("Gram Newton-Schulz", dao-lab.ai/blog, 2026). Rounding grows with each turn,
    wherefore X is brought up to date once on the way. `dtype`: of the turns. In bfloat16 they come out about a seventh
    off, and the largest singular values at 1.3.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(dtype)
    for turns in TURNS:
        x = _gathered(x @ x.mT, turns) @ x
    return (x.mT if tall else x).to(matrices.dtype)


def _gathered(square: Tensor, turns: int) -> Tensor:
    """The product of that many turns, for matrices X with X Xᵀ = `square`."""
    a, b, c = COEFFICIENTS
    one = torch.eye(square.shape[1], dtype=square.dtype, device=square.device)
    product = one
    for turn in range(turns):
        factor = torch.baddbmm(a * one + b * square, square, square, alpha=c)
        product = factor @ product if turn else factor
        if turn + 1 < turns:
            square = factor @ square @ factor
    return product
