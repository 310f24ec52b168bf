"""Captions of pictures that nobody drew: things of a collection in scenes, in other styles and other colours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random

from safelight.data.captions import with_adjective, worded
from safelight.data.painting import PAINTS
from safelight.data.record import Record
from safelight.data.scenes import scene_with
from safelight.data.styles import Styles
from safelight.data.variation_captions import names_a_colour

SCENES, STYLED = 0.55, 0.25  # shares of the captions; the others name a colour
USUAL = 0.75  # of the scenes, whose things are in the style that their bare names mean


class Imagined:
    """Captions made of the names of cut-out things.

    records: at least two of one style; their first captions name them.
    """

    def __init__(self, records: Sequence[Record], styles: Styles) -> None:
        self.styles = styles
        self.wordings = [wordings for wordings in styles.wordings.values() if wordings]
        of_style: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            of_style[str(record.fields.get("style"))].append(record)
        self.alike = [group for group in of_style.values() if len(group) > 1]
        usual = [record for record in records if styles.is_usual(record)]
        self.usual = usual if len(usual) > 1 else self.alike[0]

    def caption(self, random: Random) -> str:
        """One of them."""
        chance = random.random()
        if chance < SCENES:
            return self._scene(random)
        said = random.choice(self.usual).captions[0]
        if chance < SCENES + STYLED and self.wordings:
            return worded(random.choice(random.choice(self.wordings)), said)
        return said if names_a_colour(said) else with_adjective(said, random.choice([*PAINTS]))

    def _scene(self, random: Random) -> str:
        things = self.usual if random.random() < USUAL else random.choice(self.alike)
        first, other = random.sample(things, 2)
        return scene_with(first, [other], self.styles, random).caption
