"""Stage two: CLIP learns which captions belong to which pictures (Radford et al. 2021, section 2.3).

The text encoder that comes out of it is then frozen, and is what the noise predictor reads.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional

from safelight.configs import ImageEncoderConfig, TextEncoderConfig
from safelight.text.clip import CLIP
from safelight.text.tokenizer import Tokenizer
from safelight.images import to_tensor
from safelight.training.backdrop import COLOURS, is_cut_out, on_colour, to_square, with_background
from safelight.training.collection import Record, of_split
from safelight.training.settings import ClipDataConfig
from safelight.weights import save_clip

LARGEST_SCALE = 100.0  # Radford et al. 2021, section 2.5: keeps the loss from running away
HELD_OUT = 400


def contrastive_loss(images: Tensor, texts: Tensor, log_scale: Tensor) -> Tensor:
    """Symmetric cross-entropy over all pairs of a batch (Radford et al. 2021, figure 3).

    images, texts: (b, d) of length 1, row i of both belonging together. Returns a scalar.
    """
    logits = log_scale.exp().clamp(max=LARGEST_SCALE) * images @ texts.T
    own = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


class ClipTask:
    """CLIP with its captioned pictures; see `training.loop.Task`."""

    def __init__(
        self, text: TextEncoderConfig, image: ImageEncoderConfig, data: ClipDataConfig, records: list[Record]
    ) -> None:
        self.data = data
        training = of_split(records, "train")
        backgrounds = [with_background("", colour) for colour in COLOURS]
        captions = [caption for record in training for caption in record.captions]
        self.tokenizer = Tokenizer.train([*captions, *backgrounds * 20], size=data.vocabulary, length=text.length)
        self.network = CLIP(_with_vocabulary(text, len(self.tokenizer.vocabulary)), image)
        self.pictures = PictureCache(training, image.size)
        self.size = len(training)
        held_out = of_split(records, "val")[:HELD_OUT]
        self.held_out = (PictureCache(held_out, image.size), held_out)
        concepts = {str(record.fields["concept"]) for record in records if "concept" in record.fields}
        self.concepts = sorted(concepts)

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A picture (3, size, size) in [-1, 1], with the token ids of one of its captions."""
        picture = self.pictures[index]
        caption = random.choice(self.pictures.records[index].captions)
        colour = "white"
        if is_cut_out(picture) and random.random() >= self.data.white_share:
            colour = random.choice(list(COLOURS))
            caption = with_background(caption, colour)
        image = to_tensor(on_colour(picture, COLOURS[colour]))
        if random.random() < self.data.flip_share and not names_a_side(caption):
            image = image.flip(-1)
        tokens = self.tokenizer([caption])
        return {"image": image, "ids": tokens.ids[0], "end": tokens.end[0]}

    def loss(self, batch: dict[str, Tensor], generator: Generator) -> dict[str, Tensor]:
        """The contrastive loss of a batch; its texts are cut to the longest, for later positions change nothing."""
        longest = int(batch["end"].max()) + 1
        texts = self.network.embed_text(batch["ids"][:, :longest], batch["end"])
        images = self.network.embed_image(batch["image"])
        loss = contrastive_loss(images.float(), texts.float(), self.network.log_scale)
        return {"loss": loss, "scale": self.network.log_scale.exp()}

    def evaluate(self) -> dict[str, float]:
        """Retrieval among the held-out pairs, and the share of held-out pictures whose concept ranks first."""
        cache, records = self.held_out
        if not records:
            return {}
        device = next(self.network.parameters()).device
        images = torch.cat(
            [
                self.network.embed_image(
                    torch.stack([to_tensor(on_colour(cache[i], COLOURS["white"])) for i in part]).to(device)
                )
                for part in torch.arange(len(records)).split(64)
            ]
        ).float()
        texts = self._embed([record.captions[0] for record in records])
        own = torch.arange(len(records), device=device)
        figures = ranking("retrieval", images @ texts.T, own)
        if self.concepts:
            places = torch.tensor([self.concepts.index(str(record.fields["concept"])) for record in records])
            figures |= ranking("concept", images @ self._embed(self.concepts).T, places.to(device))
        return figures

    def sheet(self) -> Image.Image | None:
        """CLIP makes no pictures."""
        return None

    def export(self, folder: Path) -> None:
        """Write tokenizer and both encoders into `folder/tokenizer` and `folder/clip`."""
        self.tokenizer.save(folder / "tokenizer")
        save_clip(folder / "clip", self.network)

    def _embed(self, texts: list[str]) -> Tensor:
        device = next(self.network.parameters()).device
        rows = []
        for start in range(0, len(texts), 256):
            tokens = self.tokenizer(texts[start : start + 256])
            longest = int(tokens.end.max()) + 1
            rows.append(self.network.embed_text(tokens.ids[:, :longest].to(device), tokens.end.to(device)).float())
        return torch.cat(rows)


class PictureCache:
    """Pictures at one size, as RGBA, decoded once and kept."""

    def __init__(self, records: list[Record], size: int) -> None:
        self.records = records
        self.size = size
        self.kept: dict[int, Image.Image] = {}

    def __getitem__(self, index: int) -> Image.Image:
        index = int(index)
        if index not in self.kept:
            self.kept[index] = to_square(self.records[index].picture(), self.size)
        return self.kept[index]


def ranking(name: str, scores: Tensor, right: Tensor) -> dict[str, float]:
    """Share of rows of `scores` (b, n) whose `right` (b,) column stands first, and among the first five."""
    best = scores.topk(min(5, scores.shape[1]), dim=1).indices
    hits = best == right[:, None]
    return {f"{name}_first": float(hits[:, 0].float().mean()), f"{name}_first5": float(hits.any(dim=1).float().mean())}


def names_a_side(caption: str) -> bool:
    """Whether a caption would be false of the mirrored picture."""
    return bool({"left", "right", "lefthand", "righthand"} & set(caption.lower().replace("-", " ").split()))


def _with_vocabulary(config: TextEncoderConfig, size: int) -> TextEncoderConfig:
    return replace(config, vocabulary=size)
