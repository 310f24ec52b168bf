"""The captions and latents by which the map from a text encoder's states to a sketch is found."""

from __future__ import annotations

from random import Random

import torch
from torch import Tensor

from safelight.training.diffusion.latents import LatentSet

ENOUGH = 1024  # pictures from which the map of a text encoder that foretells already is found


def usual_pairs(seen: LatentSet) -> tuple[list[str], Tensor]:
    """The first captions of up to 1,024 training pictures, and their latents (n, c, h, w)."""
    rows = [rows[0] for rows in seen.rows]
    chosen = Random(0).sample(rows, min(len(rows), ENOUGH))
    return [seen.views[row].captions[0] for row in chosen], torch.stack([seen[row] for row in chosen]).float()
