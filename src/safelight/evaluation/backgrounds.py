"""Whether a picture lies on the background that was asked for, told from its border alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from safelight.data.backdrop import COLOURS
from safelight.evaluation.figure import Figure
from safelight.evaluation.intervals import share
from safelight.images import to_tensor

BORDER = 1 / 32  # of the shorter side
JUDGE = "border colour"
ASKED = re.compile(rf"\bon an? ({'|'.join(COLOURS)}) background\b", re.IGNORECASE)


def background_figure(pictures: Sequence[Image.Image], asked: Sequence[str | None]) -> Figure | None:
    """The share of the pictures whose background is the colour asked for; None where none was asked for."""
    wanted = [(number, colour) for number, colour in enumerate(asked) if colour is not None]
    if not wanted:
        return None
    hits = sum(named_colour(border_colour(pictures[number])) == colour for number, colour in wanted)
    return Figure(name="background", judge=JUDGE, unit="share", interval=share(hits, len(wanted)), pictures=len(wanted))


def asked_background(text: str) -> str | None:
    """The colour that a prompt names as "on a red background"; None where it names none."""
    match = ASKED.search(text)
    return match[1].lower() if match else None


def border_colour(picture: Image.Image) -> Tensor:
    """The median of red, green and blue on the border of a picture: (3,), 0 to 255."""
    image = (to_tensor(picture) + 1) * 127.5
    wide = max(1, round(min(picture.size) * BORDER))
    rim = [image[:, :wide], image[:, -wide:], image[:, wide:-wide, :wide], image[:, wide:-wide, -wide:]]
    return torch.cat([part.flatten(1) for part in rim], dim=1).median(dim=1).values


def named_colour(colour: Tensor) -> str:
    """The background of data.backdrop that is nearest to a colour (3,)."""
    known = torch.tensor(list(COLOURS.values())).float()
    return list(COLOURS)[int((known - colour).square().sum(1).argmin())]
