"""Whether a thing has the colour that was asked for, told from the pixels that are not background."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from safelight.data.colour_names import dominant_colours
from safelight.evaluation.figure import Figure
from safelight.evaluation.intervals import share
from safelight.evaluation.things import cut_out

JUDGE = "colours of the thing"


def colour_figure(pictures: Sequence[Image.Image], asked: Sequence[str | None]) -> Figure | None:
    """The share of pictures whose thing has the colour asked for among its main two; None where none was asked for."""
    wanted = [(number, colour) for number, colour in enumerate(asked) if colour is not None]
    if not wanted:
        return None
    hits = sum(colour in dominant_colours(cut_out(pictures[number])) for number, colour in wanted)
    return Figure(name="colour", judge=JUDGE, unit="share", interval=share(hits, len(wanted)), pictures=len(wanted))
