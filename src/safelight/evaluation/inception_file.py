"""Inception from the file of weights that FID programs use: a state dict of PyTorch, or the same as safetensors.

Names and shapes are those of pytorch-fid's `pt_inception-2015-12-05-6726825d.pth`. Editions of other programs that are
TorchScript programs are refused: a program would have to be run to be read.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from safelight.errors import BadCheckpoint
from safelight.evaluation.inception import BEFORE, BETWEEN, BLOCKS, CLASSES, Inception
from safelight.weights.formats import read_file
from safelight.weights.key_table import KeyTable, Rows
from safelight.weights.strict import load_strictly

COUNTERS = ".num_batches_tracked"  # of training steps, in files of newer versions
NORM: Rows = (("weight", "bn.weight"), ("bias", "bn.bias"), ("mean", "bn.running_mean"), ("variance", "bn.running_var"))


def _convolution(ours: str, theirs: str) -> Rows:
    return ((f"{ours}.conv", f"{theirs}.conv"), *((f"{ours}.{own}", f"{theirs}.{other}") for own, other in NORM))


INCEPTION_KEYS = KeyTable(
    rows=(
        *(row for step in BEFORE for row in _convolution(f"before.{step.name}", step.name)),
        *(row for step in BETWEEN for row in _convolution(f"between.{step.name}", step.name)),
        *(
            row
            for block, branches in BLOCKS.items()
            for branch in branches
            for name in branch.names
            for row in _convolution(f"blocks.{block}.steps.{name}", f"{block}.{name}")
        ),
        ("classes", "fc"),
    )
)


def load_inception(path: Path | str) -> Inception:
    """The network with the weights of a file, in float32; raises BadCheckpoint that lists what does not fit.

    The weights of other editions, such as torchvision's for 1000 classes, are refused: their features are others.
    """
    tensors = {name: tensor for name, tensor in read_file(path).tensors.items() if not name.endswith(COUNTERS)}
    classes = tensors.get("fc.weight")
    if classes is not None and len(classes) != CLASSES:
        raise BadCheckpoint(
            f"{str(path)!r} tells {len(classes)} classes; the Inception that FID is measured with tells {CLASSES} "
            "(pt_inception-2015-12-05, as pytorch-fid has it)."
        )
    network: nn.Module = load_strictly("Inception", Inception, INCEPTION_KEYS, Path(path), tensors, torch.float32)
    assert isinstance(network, Inception)
    return network.eval().requires_grad_(False)
