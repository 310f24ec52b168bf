"""The sketch stage: from a caption alone, the text encoder foretells the latent of its picture.

A caption has fewer tokens than the text encoder has places; the places behind it, each of which has read all of it,
are left to say nothing. Here each of the last ones learns to foretell one square of the latent, by a linear map. Under
the square error that becomes the mean of all pictures with such a caption: a sketch. No noise is drawn and no UNet
runs, so that a sample costs a small part of what it costs the diffusion stage; and what is learnt is what
cross-attention learns slowest from noisy latents, where pictures are few and words are many: what a word looks like,
and where. A UNet that reads these states finds the contents of each square at a place of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image
from torch import Tensor, nn

from safelight.data.collection import check_captions, fingerprint, split_up
from safelight.data.record import Record
from safelight.errors import BadInput
from safelight.images import grid, to_picture
from safelight.training.captions import with_caption
from safelight.training.diffusion.fixed_loss import fixed_errors
from safelight.training.diffusion.objective import Question
from safelight.training.diffusion.seen import Seen
from safelight.training.diffusion.settings import DiffusionDataConfig
from safelight.training.diffusion.shown import ShownText
from safelight.training.diffusion.views import Framing
from safelight.training.engine.noise import SampleNoise
from safelight.training.sketch.pairs import usual_pairs
from safelight.training.sketch.sketcher import Sketcher
from safelight.weights.parts import AnyAutoencoder, AnyTextEncoder, AnyTokenizer


class SketchTask:
    """A text encoder with the latents that it is to foretell; see `training.engine.task.Task`.

    cells: squares of the latent each way. framing: how the pictures are seen. cache: the folder that keeps the latents.
    leave: writes what has been learnt into the folder of the run. known: the text encoder foretells pictures already;
    the map from its states is found first, and stays as it is, so that a UNet which reads them goes on to find in them
    what it has learnt to find.
    """

    def __init__(
        self,
        autoencoder: AnyAutoencoder,
        tokenizer: AnyTokenizer,
        encoder: AnyTextEncoder,
        cells: int,
        framing: Framing,
        data: DiffusionDataConfig,
        records: list[Record],
        cache: Path,
        leave: Callable[[Path], None],
        known: bool = False,
    ) -> None:
        if data.shapes != "square":
            raise BadInput(f'data.shapes is {data.shapes!r}; a sketch is learnt from pictures of one shape, "square".')
        records = with_caption(records, data.caption)
        check_captions(records)
        training, held_out = split_up(records)
        self.autoencoder = autoencoder.requires_grad_(False)
        self.leave = leave
        self.data = data
        self.shown = ShownText(data)
        self.fingerprint = fingerprint(training)
        self.collection = Seen(training, held_out, autoencoder, framing, data, cache)
        self.seen, self.unseen = self.collection.latents, self.collection.unseen
        self.sketcher = Sketcher(tokenizer, encoder, self.seen[0].shape, cells).requires_grad_(True)
        if known:
            self.sketcher.keep_map(*usual_pairs(self.seen))
        self.size = len(self.collection)

    @property
    def network(self) -> nn.Module:
        """The text encoder and its linear map."""
        return self.sketcher

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A latent (c, h, w) with one of its captions."""
        return self.collection.sample(index, self.shown, random)

    def loss(self, batch: dict[str, Any], noise: SampleNoise) -> dict[str, Tensor]:
        """The square error of the sketches; nothing is drawn at random."""
        return {"loss": self._errors(batch).mean()}

    def evaluate(self) -> dict[str, float]:
        """The error for training pictures, and for unseen ones; the variance of latents is about 1."""
        sets = {"loss_seen": self.seen, "loss_unseen": self.unseen}
        return {
            name: float(fixed_errors(latents, self.shown, self._asked, 1)[1].mean())
            for name, latents in sets.items()
            if latents is not None
        }

    def sheet(self) -> Image.Image | None:
        """The sketches of the configuration's prompts, decoded."""
        if not self.data.prompts:
            return None
        scaled = self.sketcher(list(self.data.prompts)) / self.autoencoder.config.scale
        return grid([to_picture(self.autoencoder.decode(one)[0]) for one in scaled.split(1)])

    def export(self, folder: Path) -> None:
        """Write what was learnt."""
        self.leave(folder)

    def _asked(self, batch: Mapping[str, Any], question: Question) -> Tensor:
        """The error at some noise, of which there is none here."""
        return self._errors(batch)

    def _errors(self, batch: Mapping[str, Any]) -> Tensor:
        """The mean square error (b,) of each sample."""
        latent = batch["latent"].to(next(self.sketcher.parameters()).device).float()
        return (self.sketcher(batch["caption"]) - latent).square().flatten(1).mean(1)
