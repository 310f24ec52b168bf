"""Scenes made of latents: small things laid onto an empty background.

Each thing is encoded at three smaller sizes too, and for a sample two or three of these latents are laid onto the
latent of nothing but a colour. That costs nothing beside encoding a picture, so that every sample can be a new scene.
It is nearly what encoding the scene itself would give, for an autoencoder looks at its picture through small windows;
only its norms look at all of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from PIL import Image
from torch import Tensor

from safelight.data.backdrop import COLOURS, with_background
from safelight.data.scenes import LAYOUTS, Scene, scene_with
from safelight.data.styles import Styles
from safelight.errors import BadInput
from safelight.images import to_tensor
from safelight.training.diffusion.latents import LatentSet, encoded, from_kept
from safelight.weights.parts import AnyAutoencoder

Kind = tuple[str, str]  # a style and a background: what the things of a scene have in common


class Scenes:
    """Scenes of things of one style over one colour.

    things: for each of `data.scenes.SIZES` the latents of cut-out pictures, so many sixteenths as wide and high as an
    `empty` one, in the same views; their first captions name them. empty: for each colour, the latent (c, h, w) of
    nothing but it; the first is the usual one. Raises BadInput where no two things can be in one scene.
    """

    def __init__(self, things: Mapping[int, LatentSet], empty: Mapping[str, Tensor], styles: Styles) -> None:
        self.things = things
        self.views = next(iter(things.values())).views
        self.empty = empty
        self.styles = styles
        self.alike: dict[Kind, dict[str, int]] = defaultdict(dict)  # the row of each record, by its key
        for row, view in enumerate(self.views):
            self.alike[str(view.record.fields.get("style")), view.colour][view.record.key] = row
        self.kinds = {kind: list(rows.values()) for kind, rows in self.alike.items() if len(rows) > 1}
        self.rows = [(kind, row) for kind, rows in self.kinds.items() for row in rows]
        if not self.rows:
            raise BadInput("data.scene_share is above 0, but no two cut-out pictures are of one style.")

    def sample(self, random: Random, usual_share: float, dropout: float) -> dict[str, Any]:
        """A latent (c, h, w) with its caption.

        usual_share: of the scenes, that are over the usual colour; the others are over any. dropout: the share of
        scenes without a caption.
        """
        (style, colour), first = random.choice(self.rows)
        usual = next(iter(self.empty))
        if random.random() < usual_share and (style, usual) in self.kinds:
            colour = usual
            first = random.choice(self.kinds[style, usual])
        rows = self.alike[style, colour]
        record = self.views[first].record
        others = [self.views[row].record for row in self.kinds[style, colour] if row != first]
        scene = scene_with(record, others, self.styles, random)
        caption = "" if random.random() < dropout else with_background(scene.caption, colour)
        return {"latent": self._laid(scene, rows, self.empty[colour]), "caption": caption}

    def _laid(self, scene: Scene, rows: Mapping[str, int], empty: Tensor) -> Tensor:
        latent = empty.clone()
        high, wide = (side // 16 for side in latent.shape[1:])
        for record, place in zip(scene.things, LAYOUTS[scene.layout].places, strict=True):
            thing = self.things[place.size][rows[record.key]]
            y, x = place.top * high, place.left * wide
            latent[:, y : y + thing.shape[1], x : x + thing.shape[2]] = thing
        return latent


def empty_latents(autoencoder: AnyAutoencoder, colours: Sequence[str], size: tuple[int, int]) -> dict[str, Tensor]:
    """The latent (c, h, w) of each colour alone, of a picture so wide and high in pixels."""
    plain = {colour: to_tensor(Image.new("RGB", size, COLOURS[colour])) for colour in colours}
    return {colour: from_kept(encoded(autoencoder, [image])[0]) for colour, image in plain.items()}
