"""The restyle stage: a thing's drawings in some styles become its drawing in another, and fill a collection's gaps.

A model learns a thing and a style apart where it has seen them together with others, but it is shown each pair that
somebody drew again and again, and the rest never. A network that looks at a fox in four styles needs to know nothing
of foxes to draw it in a fifth; what it learns holds for all things. So the pairs that nobody drew are made by it, and a
text encoder that foretells pictures (the sketch stage) is shown them beside the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from safelight.data.collection import check_captions, fingerprint, some_of, split_up
from safelight.data.colour_names import dominant_colours
from safelight.data.record import Record
from safelight.data.shard_writing import NewSample, webp, write_shard
from safelight.data.variations import derived
from safelight.errors import BadInput
from safelight.images import to_picture
from safelight.training.captions import with_caption
from safelight.training.diffusion.latents import latent_set
from safelight.training.diffusion.settings import ViewsConfig
from safelight.training.diffusion.views import framing_of
from safelight.training.engine.noise import SampleNoise
from safelight.training.finetuning.start import Start, check_same_start, open_start
from safelight.training.restyling.clearing import cleared
from safelight.training.restyling.drawings import Drawings, Pair
from safelight.training.restyling.restyler import Restyler
from safelight.training.restyling.settings import RestylingConfig
from safelight.weights.files import beside

if TYPE_CHECKING:
    from safelight.training.recipe import RestyleRecipe
    from safelight.training.stages import Inputs

SHARD = "restyled.tar"
HELD_OUT = 256  # drawings of either kind that figures are of
SHOWN = 8
AT_ONCE = 16


class RestyleTask:
    """A restyler with the drawings of a collection; see `training.engine.task.Task`.

    start: the model whose autoencoder gives the latents. folder: keeps these. Raises BadInput where pictures have
    several shapes, no thing was drawn in two styles, or nothing in a style to be sharpened.
    """

    def __init__(
        self, start: Start, settings: RestylingConfig, data: ViewsConfig, records: list[Record], folder: Path
    ) -> None:
        if data.shapes != "square":
            raise BadInput(f'data.shapes is {data.shapes!r}; drawings must be of one shape, "square".')
        records = with_caption(records, data.caption)
        check_captions(records)
        training, held_out = split_up(records)
        self.settings = settings
        self.autoencoder = start.parts.autoencoder
        self.fingerprint = f"{fingerprint(training)} {start.fingerprint}"
        framing = framing_of(start.parts, data)
        self.drawings = Drawings(latent_set(training, self.autoencoder, framing, folder / "latents-train.safetensors"))
        self.unseen: list[tuple[Pair, Tensor]] = []
        if held_out:
            latents = latent_set(held_out, self.autoencoder, framing, folder / "latents-val.safetensors")
            firsts = [rows[0] for rows in latents.rows]
            known = self.drawings.known([latents.views[row].record for row in firsts])
            self.unseen = [(pair, latents[firsts[place]].float()) for place, pair in known]
        if unknown := set(settings.sharpened) - set(self.drawings.styles):
            raise BadInput(
                f"restyling.sharpened names {min(unknown)!r}, in which nothing was drawn; the styles are "
                f"{', '.join(self.drawings.styles)}."
            )
        self.network = Restyler(len(self.drawings.styles), self.drawings.latents[0].shape[0], settings)
        self.network.to(next(self.autoencoder.parameters()).device)
        self.size = len(self.drawings.drawn)

    def sample(self, index: int, random: Random) -> dict[str, Tensor]:
        """A drawing (c, h, w), and some others of the same thing by which it is to be found; all moved a little."""
        pair = self.drawings.drawn[index]
        others = self.drawings.others(pair)
        share = random.uniform(0, self.settings.hidden)
        kept = [style for style in others if random.random() >= share] or [random.choice(others)]
        drawings, there = self.drawings.shown(pair.thing, kept)
        by = [random.randint(-self.settings.shift, self.settings.shift) for _ in range(2)]
        return {
            "drawings": drawings.roll(by, (2, 3)),
            "there": there,
            "wanted": torch.tensor(pair.style),
            "latent": self.drawings.latent(pair).roll(by, (1, 2)),
        }

    def loss(self, batch: dict[str, Tensor], noise: SampleNoise) -> dict[str, Tensor]:
        """The square error of the drawings; nothing is drawn at random."""
        place = next(self.network.parameters()).device
        batch = {name: tensor.to(place) for name, tensor in batch.items()}
        made = self.network(batch["drawings"], batch["there"], batch["wanted"])
        return {"loss": (made.float() - batch["latent"]).square().mean()}

    def evaluate(self) -> dict[str, float]:
        """The error for drawings of the training, and for held-out ones; all others of the thing are shown.

        loss_of_mean is that of the mean of the others for the held-out ones; the variance of latents is about 1.
        """
        seen = [(pair, self.drawings.latent(pair)) for pair in some_of(self.drawings.drawn, HELD_OUT)]
        figures = {"loss_seen": self._error(seen)}
        if unseen := some_of(self.unseen, HELD_OUT):
            means = torch.stack([self._others_mean(pair) for pair, _ in unseen])
            own = torch.stack([latent for _, latent in unseen])
            figures |= {"loss_unseen": self._error(unseen), "loss_of_mean": float((means - own).square().mean())}
        return figures

    def sheet(self) -> Image.Image | None:
        """Drawings as they are made, and below as they were drawn: held-out ones, where there are any."""
        pairs = self.unseen or [(pair, self.drawings.latent(pair)) for pair in self.drawings.drawn]
        shown = some_of(pairs, SHOWN)
        rows = self._made([pair for pair, _ in shown]), torch.stack([latent for _, latent in shown])
        return to_picture(torch.cat([torch.cat(list(self._decoded(row)), dim=2) for row in rows], dim=1))

    def export(self, folder: Path) -> None:
        """Write a shard of all pairs that nobody drew."""
        with beside(folder / SHARD) as partial:
            write_shard(partial, self._new_samples())

    def _new_samples(self) -> Iterator[NewSample]:
        missing = self.drawings.missing()
        phrases = {
            pair.style: self.drawings.record(pair).fields.get("style_phrase", self.drawings.styles[pair.style])
            for pair in self.drawings.drawn
        }
        with tqdm(total=len(missing), desc=SHARD, unit="picture", disable=None) as progress:
            for first in range(0, len(missing), AT_ONCE):
                pairs = missing[first : first + AT_ONCE]
                for pair, image in zip(pairs, self._decoded(self._made(pairs)), strict=True):
                    yield self._new_sample(pair, str(phrases.get(pair.style, "")), image)
                    progress.update()

    def _new_sample(self, pair: Pair, phrase: str, image: Tensor) -> NewSample:
        """What is made of a thing has the fields of its first drawing, and its name, alone and with the style."""
        of = [self.drawings.record(Pair(pair.thing, style)) for style in self.drawings.others(pair)]
        first, style, picture = of[0], self.drawings.styles[pair.style], to_picture(image)
        if style in self.settings.sharpened:
            picture = cleared(picture, self.settings.sharpening)
        name = first.captions[0]
        owners: dict[str, str] = {
            owner: "; ".join(sorted({str(record.fields[owner]) for record in of if owner in record.fields}))
            for owner in ("source", "licence")
            if owner in first.fields
        }
        return derived(
            first,
            f"as-{style}",
            webp(picture),
            style=style,
            style_phrase=phrase,
            captions=[name, f"{name}, {phrase}"],
            colors=[colour for colour in dominant_colours(picture) if colour != "white"],  # the ground is
            restyled_from=[record.key for record in of],
            **owners,
        )

    @torch.no_grad()
    def _made(self, pairs: list[Pair]) -> Tensor:
        """The drawings (n, c, h, w) of pairs, from all others of their things."""
        place = next(self.network.parameters()).device
        made = []
        for first in range(0, len(pairs), AT_ONCE):
            part = pairs[first : first + AT_ONCE]
            shown = [self.drawings.shown(pair.thing, self.drawings.others(pair)) for pair in part]
            drawings, there = (torch.stack(each).to(place) for each in zip(*shown, strict=True))
            made.append(self.network(drawings, there, torch.tensor([pair.style for pair in part], device=place)))
        return torch.cat(made).float().cpu()

    @torch.no_grad()
    def _decoded(self, latents: Tensor) -> Tensor:
        """Scaled latents (n, c, h, w) -> pictures (n, 3, H, W)."""
        scaled = latents.to(next(self.autoencoder.parameters()).device) / self.autoencoder.config.scale
        return torch.cat([self.autoencoder.decode(one) for one in scaled.split(1)]).float().cpu()

    def _error(self, pairs: list[tuple[Pair, Tensor]]) -> float:
        made = self._made([pair for pair, _ in pairs])
        return float((made - torch.stack([latent for _, latent in pairs])).square().mean())

    def _others_mean(self, pair: Pair) -> Tensor:
        drawings, there = self.drawings.shown(pair.thing, self.drawings.others(pair))
        return drawings.sum(0) / there.sum()


def restyle_task(inputs: Inputs, recipe: RestyleRecipe, records: list[Record]) -> RestyleTask:
    """The task over the autoencoder of a whole model; the pictures are encoded before the first step."""
    assert inputs.model is not None
    start = open_start(inputs.model, recipe.loop.device)
    inputs.begin()
    check_same_start(inputs.out, start)
    return RestyleTask(start, recipe.restyling, recipe.data, records, inputs.out)
