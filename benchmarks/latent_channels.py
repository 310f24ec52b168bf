"""What a latent of some size can hold at the least: the PSNR of the best linear code of the held-out pictures.

Each square of f x f pixels becomes as many numbers as the latent has channels, by the principal components of training
pictures (the best linear code for squared errors), and comes back. A trained autoencoder of that shape sees more than
one square and is not linear; one that stays near these figures has learnt little more than that.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from safelight.data.backdrop import COLOURS, on_colour, to_square
from safelight.data.collection import Record, open_collection
from safelight.evaluation.fidelity import psnr
from safelight.images import to_tensor
from safelight.training.autoencoder.pictures import by_kind

SHAPES = {8: (4, 8, 12, 16), 4: (3, 4)}  # factor -> channels
PICTURES = 100  # of each kind and split, evenly chosen


def main() -> None:
    """Photos and illustrations apart; cut-out pictures lie on white."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--size", type=int, default=256, help="(default: %(default)s)")
    chosen = arguments.parse_args()
    splits = {split: by_kind(open_collection(chosen.data, {"split": [split]})) for split in ("train", "val")}
    for kind in ("photo", "illustration"):
        training, held_out = (pixels(splits[split][kind], chosen.size) for split in ("train", "val"))
        for factor, channels in SHAPES.items():
            returned = {f"{count} channels": value(training, held_out, factor, count) for count in channels}
            print(json.dumps({"kind": kind, "factor": factor, **returned}))


def pixels(records: list[Record], size: int) -> Tensor:
    """(n, 3, size, size) in [-1, 1]."""
    some = records[:: max(1, len(records) // PICTURES)]
    squares = [on_colour(to_square(record.picture(), size), COLOURS["white"]) for record in some]
    return torch.stack([to_tensor(square) for square in squares])


def value(training: Tensor, held_out: Tensor, factor: int, channels: int) -> float:
    """The mean PSNR of the held-out pictures in the first components of the training pictures."""
    known = functional.unfold(training, factor, stride=factor).movedim(1, 2).flatten(0, 1)
    middle = known.mean(0)
    _, components = torch.linalg.eigh(torch.cov(known.T).double())
    basis = components[:, -channels:].float()
    squares = functional.unfold(held_out, factor, stride=factor) - middle[:, None]
    returned = basis @ (basis.T @ squares) + middle[:, None]
    back = functional.fold(returned, held_out.shape[-2:], factor, stride=factor)
    return round(float(psnr(back, held_out).mean()), 2)


if __name__ == "__main__":
    main()
