"""The things on a plain background: where each lies, and each by itself as a judge of single things wants to see it.

A pixel belongs to a thing where it differs from the colour of the border. What hangs together is one thing; parts with
a small gap between them hang together too, such as a cloud and its rain.
"""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from safelight.evaluation.backgrounds import border_colour
from safelight.images import to_tensor

SIDE = 128  # pixels, both ways, at which things are told apart
DIFFERENT = 28.0  # of 255, in red, green or blue: from the colour of the border
REACH = 2  # pixels by which everything is widened before it is told apart: parts up to twice that apart are one
LEAST = 0.004  # of the picture: what is smaller is a crumb
LEAST_OF_LARGEST = 0.2  # of the largest thing: the same
MIDDLE = (SIDE // 4, SIDE - SIDE // 4)  # where a picture is cut in two
FILLED = 0.95  # of the square on which a thing is shown alone


def foreground(picture: Image.Image) -> Tensor:
    """Whether each pixel differs from the border's colour: (h, w)."""
    image = (to_tensor(picture) + 1) * 127.5
    return (image - border_colour(picture)[:, None, None]).abs().amax(0) > DIFFERENT


def cut_out(picture: Image.Image) -> Image.Image:
    """The same picture as RGBA with a transparent background."""
    alpha = foreground(picture).byte().mul(255).numpy()
    whole = picture.convert("RGB")
    whole.putalpha(Image.fromarray(alpha))
    return whole


def things(picture: Image.Image) -> list[Tensor]:
    """Where each thing lies, the largest first: masks (SIDE, SIDE), a little wider than the things; crumbs left out."""
    mask = foreground(picture.resize((SIDE, SIDE), Image.Resampling.BOX))
    labels = _labelled(_widened(mask))
    sizes = labels[mask].bincount()
    least = max(LEAST * SIDE**2, LEAST_OF_LARGEST * int(sizes.max())) if len(sizes) else 0
    order = sizes.argsort(descending=True).tolist()
    return [labels == label for label in order if sizes[label] >= least]


def halves(picture: Image.Image, dim: int) -> list[Tensor]:
    """Where the two halves' things lie: left and right for dim 1, upper and lower for dim 0; empty where one is bare.

    The cut goes through the middle half, where it meets fewest pixels of things. Masks as those of `things`.
    """
    found = things(picture)
    if not found:
        return []
    whole = torch.stack(found).any(0)
    met = whole.sum(1 - dim)[slice(*MIDDLE)].float()
    off_centre = (torch.arange(len(met)) - len(met) / 2).abs() / SIDE  # tells between equals
    cut = MIDDLE[0] + int((met + off_centre).argmin())
    before = (torch.arange(SIDE) < cut).unsqueeze(1 - dim)
    parts = [whole & before, whole & ~before]
    return parts if all(int(part.sum()) >= LEAST * SIDE**2 for part in parts) else []


def alone(picture: Image.Image, mask: Tensor) -> Image.Image:
    """What lies under a mask of `things`, in the middle of a square of the border's colour that it nearly fills."""
    red, green, blue = (int(value) for value in border_colour(picture))
    shown = Image.fromarray(mask.byte().mul(255).numpy()).resize(picture.size)
    left, top, right, bottom = shown.getbbox() or (0, 0, *picture.size)
    side = round(max(right - left, bottom - top) / FILLED)
    square = Image.new("RGB", (side, side), (red, green, blue))
    box = (left, top, right, bottom)
    place = ((side - right + left) // 2, (side - bottom + top) // 2)
    square.paste(picture.convert("RGB").crop(box), place, shown.crop(box))
    return square


def _widened(mask: Tensor) -> Tensor:
    wide = functional.max_pool2d(mask.float()[None, None], 2 * REACH + 1, stride=1, padding=REACH)
    return wide[0, 0] > 0


def _labelled(mask: Tensor) -> Tensor:
    """One number above 0 for all pixels that hang together, also over corners, and 0 for the others: (h, w)."""
    labels = (torch.arange(1, mask.numel() + 1).view(mask.shape) * mask).float()
    while True:
        grown = functional.max_pool2d(labels[None, None], 3, stride=1, padding=1)[0, 0] * mask
        if torch.equal(grown, labels):
            return labels.long()
        labels = grown
