"""The Inception network whose features FID was first measured with (Szegedy et al. 2016, in its edition of 2015-12-05).

Its blocks run several branches side by side and lay their channels behind each other. They are written as a table: the
branches of each kind of block, and the steps of each branch under the names that the published weights have.

As in the weights' own framework, the averages at a border leave out what lies beyond it, and the last block takes a
maximum instead; both differ from other editions of this network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from safelight.errors import BadInput

SIDE = 299  # pixels that it reads
FEATURES = 2048
CLASSES = 1008  # of the published weights; not 1000
NORM_EPSILON = 1e-3

Size = int | tuple[int, int]


@dataclass(frozen=True)
class Step:
    """One convolution with its norm; `same` pads so that the size stays."""

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    same: bool = True


@dataclass(frozen=True)
class Branch:
    """Steps in turn, after a pooling, perhaps; `ends` are last steps side by side."""

    steps: tuple[Step, ...] = ()
    pool: str = "none"
    ends: tuple[Step, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of all its steps."""
        return [step.name for step in (*self.steps, *self.ends)]


def _chain(name: str, *shapes: tuple[int, Size]) -> tuple[Step, ...]:
    """Steps called name_1, name_2, ... of these channels and kernels."""
    return tuple(
        Step(f"{name}_{number}", channels, kernel if isinstance(kernel, tuple) else (kernel, kernel))
        for number, (channels, kernel) in enumerate(shapes, 1)
    )


def _halving(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The same steps, of which the last halves the size."""
    last = steps[-1]
    return (*steps[:-1], Step(last.name, last.channels, last.kernel, stride=2, same=False))


def _fives(pooled: int) -> list[Branch]:
    return [
        Branch((Step("branch1x1", 64),)),
        Branch(_chain("branch5x5", (48, 1), (64, 5))),
        Branch(_chain("branch3x3dbl", (64, 1), (96, 3), (96, 3))),
        Branch((Step("branch_pool", pooled),), pool="average"),
    ]


def _first_halving() -> list[Branch]:
    return [
        Branch(_halving((Step("branch3x3", 384, (3, 3)),))),
        Branch(_halving(_chain("branch3x3dbl", (64, 1), (96, 3), (96, 3)))),
        Branch(pool="halving"),
    ]


def _sevens(width: int) -> list[Branch]:
    row, column = (1, 7), (7, 1)
    long = ((width, 1), (width, column), (width, row), (width, column), (192, row))
    return [
        Branch((Step("branch1x1", 192),)),
        Branch(_chain("branch7x7", (width, 1), (width, row), (192, column))),
        Branch(_chain("branch7x7dbl", *long)),
        Branch((Step("branch_pool", 192),), pool="average"),
    ]


def _second_halving() -> list[Branch]:
    return [
        Branch(_halving(_chain("branch3x3", (192, 1), (320, 3)))),
        Branch(_halving(_chain("branch7x7x3", (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3)))),
        Branch(pool="halving"),
    ]


def _split(name: str) -> tuple[Step, Step]:
    return Step(f"{name}a", 384, (1, 3)), Step(f"{name}b", 384, (3, 1))


def _widest(pool: str) -> list[Branch]:
    return [
        Branch((Step("branch1x1", 320),)),
        Branch(_chain("branch3x3", (384, 1)), ends=_split("branch3x3_2")),
        Branch(_chain("branch3x3dbl", (448, 1), (384, 3)), ends=_split("branch3x3dbl_3")),
        Branch((Step("branch_pool", 192),), pool=pool),
    ]


BEFORE = (
    Step("Conv2d_1a_3x3", 32, (3, 3), stride=2, same=False),
    Step("Conv2d_2a_3x3", 32, (3, 3), same=False),
    Step("Conv2d_2b_3x3", 64, (3, 3)),
)
BETWEEN = (Step("Conv2d_3b_1x1", 80), Step("Conv2d_4a_3x3", 192, (3, 3), same=False))
BLOCKS: dict[str, list[Branch]] = {
    "Mixed_5b": _fives(32),
    "Mixed_5c": _fives(64),
    "Mixed_5d": _fives(64),
    "Mixed_6a": _first_halving(),
    "Mixed_6b": _sevens(128),
    "Mixed_6c": _sevens(160),
    "Mixed_6d": _sevens(160),
    "Mixed_6e": _sevens(192),
    "Mixed_7a": _second_halving(),
    "Mixed_7b": _widest("average"),
    "Mixed_7c": _widest("maximum"),
}
POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "average": lambda x: functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False),
    "maximum": lambda x: functional.max_pool2d(x, 3, stride=1, padding=1),
    "halving": lambda x: functional.max_pool2d(x, 3, stride=2),
}


class Convolution(nn.Module):
    """A convolution, its norm by the averages of training, and a rectifier."""

    def __init__(self, channels: int, step: Step) -> None:
        super().__init__()
        padding = tuple(side // 2 if step.same else 0 for side in step.kernel)
        self.conv = nn.Conv2d(channels, step.channels, step.kernel, step.stride, (padding[0], padding[1]), bias=False)
        self.weight = nn.Parameter(torch.ones(step.channels))
        self.bias = nn.Parameter(torch.zeros(step.channels))
        self.mean = nn.Parameter(torch.zeros(step.channels))
        self.variance = nn.Parameter(torch.ones(step.channels))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, channels, h', w')."""
        x = functional.batch_norm(self.conv(x), self.mean, self.variance, self.weight, self.bias, eps=NORM_EPSILON)
        return functional.relu(x)


class Block(nn.Module):
    """Branches side by side, their channels one behind the other."""

    def __init__(self, channels: int, branches: list[Branch]) -> None:
        super().__init__()
        self.branches = branches
        self.steps = nn.ModuleDict()
        self.channels = 0
        for branch in branches:
            width = channels
            for step in branch.steps:
                self.steps[step.name] = Convolution(width, step)
                width = step.channels
            for step in branch.ends:
                self.steps[step.name] = Convolution(width, step)
            self.channels += sum(step.channels for step in branch.ends) or width

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, channels, h', w')."""
        found = []
        for branch in self.branches:
            y = POOLS[branch.pool](x)
            for step in branch.steps:
                y = self.steps[step.name](y)
            found += [self.steps[step.name](y) for step in branch.ends] or [y]
        return torch.cat(found, dim=1)


class Inception(nn.Module):
    """Pictures to the 2048 features before the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.before, channels = _convolutions(3, BEFORE)
        self.between, channels = _convolutions(channels, BETWEEN)
        self.blocks = nn.ModuleDict()
        for name, branches in BLOCKS.items():
            block = Block(channels, branches)
            self.blocks[name] = block
            channels = block.channels
        self.classes = nn.Linear(channels, CLASSES)  # not run: it tells these weights from other editions'

    def forward(self, image: Tensor) -> Tensor:
        """(b, 3, 299, 299) in [-1, 1] -> (b, 2048); raises BadInput for pictures of another size."""
        if image.shape[-2:] != (SIDE, SIDE):
            raise BadInput(f"Inception got {tuple(image.shape[-2:])} pixels; it reads {SIDE} x {SIDE}.")
        x = image
        for convolution in self.before.values():
            x = convolution(x)
        x = POOLS["halving"](x)
        for convolution in self.between.values():
            x = convolution(x)
        x = POOLS["halving"](x)
        for block in self.blocks.values():
            x = block(x)
        return x.mean((2, 3))


def _convolutions(channels: int, steps: tuple[Step, ...]) -> tuple[nn.ModuleDict, int]:
    """The steps as modules under their names, and the channels that come out of the last."""
    modules = nn.ModuleDict()
    for step in steps:
        modules[step.name] = Convolution(channels, step)
        channels = step.channels
    return modules, channels
