"""Stage two: CLIP learns which captions belong to which pictures (Radford et al. 2021, section 2.3).

The text encoder that comes out of it is then frozen, and is what the noise predictor reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from safelight.configs import ImageEncoderConfig, TextEncoderConfig
from safelight.data.backdrop import COLOURS, is_cut_out, on_colour, to_square, with_background
from safelight.data.collection import Record, check_captions, fingerprint, split_up
from safelight.images import to_tensor
from safelight.text import CLIP, Tokenizer
from safelight.training.clip.settings import ClipDataConfig
from safelight.training.engine.checkpoint import checkpoints
from safelight.training.engine.noise import SampleNoise
from safelight.weights import save_clip
from safelight.weights.whole_folder import whole_folder

LARGEST_SCALE = 100.0  # Radford et al. 2021, section 2.5: keeps the loss from running away
HELD_OUT = 400
KEPT_PICTURES = 50_000  # decoded, 64 kB each at 128 x 128
AT_ONCE = {"pictures": 64, "texts": 256}  # in an evaluation
BACKGROUND_COUNT = 20  # how often the tokenizer is shown each background's words


def contrastive_loss(images: Tensor, texts: Tensor, log_scale: Tensor) -> Tensor:
    """Symmetric cross-entropy over all pairs of a batch (Radford et al. 2021, figure 3).

    images, texts: (b, d) of length 1, row i of both belonging together. Returns a scalar.
    """
    logits = log_scale.exp().clamp(max=LARGEST_SCALE) * images @ texts.T
    own = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def tokenizer_of_run(folder: Path, records: Sequence[Record], data: ClipDataConfig, *, length: int) -> Tokenizer:
    """The tokenizer that a run has begun with; a new run learns one from the training captions and keeps it."""
    if checkpoints(folder / "checkpoints") and (folder / "tokenizer").exists():
        return Tokenizer.load(folder / "tokenizer")
    check_captions(records)
    training, _ = split_up(records)
    backgrounds = [with_background("", colour) for colour in COLOURS]
    captions = [caption for record in training for caption in record.captions]
    tokenizer = Tokenizer.train([*captions, *backgrounds * BACKGROUND_COUNT], size=data.vocabulary, length=length)
    tokenizer.save(folder / "tokenizer")
    return tokenizer


class ClipTask:
    """CLIP with its captioned pictures; see `training.task.Task`. The tokenizer decides the size of the vocabulary."""

    def __init__(
        self,
        text: TextEncoderConfig,
        image: ImageEncoderConfig,
        data: ClipDataConfig,
        records: list[Record],
        tokenizer: Tokenizer,
    ) -> None:
        check_captions(records)
        training, held_out = split_up(records)
        self.data = data
        self.tokenizer = tokenizer
        self.network = CLIP(replace(text, vocabulary=len(tokenizer.vocabulary)), image)
        self.size = len(training)
        self.fingerprint = fingerprint(training)
        self.pictures = PictureCache(training, image.size)
        self.held_out = PictureCache(held_out[:HELD_OUT], image.size)
        self.concepts = sorted({str(record.fields["concept"]) for record in records if "concept" in record.fields})

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

    def loss(self, batch: dict[str, Tensor], noise: SampleNoise) -> dict[str, Tensor]:
        """The contrastive loss of a batch; its texts are cut to the longest, for later positions change nothing."""
        longest = int(batch["end"].max()) + 1
        texts = self.network.embed_text(batch["ids"][:, :longest], batch["end"])
        images = self.network.embed_image(batch["image"])
        loss = contrastive_loss(images.float(), texts.float(), self.network.log_scale)
        return {"loss": loss, "scale": self.network.log_scale.exp()}

    def evaluate(self) -> dict[str, float]:
        """Retrieval among the held-out pairs, and the share of held-out pictures whose concept ranks first."""
        records = self.held_out.records
        if not records:
            return {}
        images = self._embed_pictures()
        own = torch.arange(len(records), device=images.device)
        figures = ranking("retrieval", images @ self._embed_texts([record.captions[0] for record in records]).T, own)
        named = [row for row, record in enumerate(records) if "concept" in record.fields]
        if named:
            places = [self.concepts.index(str(records[row].fields["concept"])) for row in named]
            scores = images[named] @ self._embed_texts(self.concepts).T
            figures |= ranking("concept", scores, torch.tensor(places, device=images.device))
        return figures

    def sheet(self) -> Image.Image | None:
        """CLIP makes no pictures."""
        return None

    def export(self, folder: Path) -> None:
        """Write tokenizer and both encoders into `folder/tokenizer` and `folder/clip`."""
        if not (folder / "tokenizer").exists():  # most runs have written it before their first step, and go on with it
            with whole_folder(folder / "tokenizer", mark="vocab.json") as partial:
                self.tokenizer.save(partial)
        save_clip(folder / "clip", self.network)

    def _embed_pictures(self) -> Tensor:
        """All held-out pictures, on white: (n, d)."""
        device = self.network.log_scale.device
        rows = []
        for part in torch.arange(len(self.held_out.records)).split(AT_ONCE["pictures"]):
            pictures = [to_tensor(on_colour(self.held_out[i], COLOURS["white"])) for i in part.tolist()]
            rows.append(self.network.embed_image(torch.stack(pictures).to(device)).float())
        return torch.cat(rows)

    def _embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Each text: (n, d)."""
        device = self.network.log_scale.device
        rows = []
        for start in range(0, len(texts), AT_ONCE["texts"]):
            tokens = self.tokenizer(texts[start : start + AT_ONCE["texts"]])
            longest = int(tokens.end.max()) + 1
            rows.append(self.network.embed_text(tokens.ids[:, :longest].to(device), tokens.end.to(device)).float())
        return torch.cat(rows)


class PictureCache:
    """Pictures at one size, as RGBA, decoded once and kept, as far as memory should go."""

    def __init__(self, records: Sequence[Record], size: int) -> None:
        self.records = records
        self.size = size
        self.kept: dict[int, Image.Image] = {}

    def __getitem__(self, index: int) -> Image.Image:
        if index in self.kept:
            return self.kept[index]
        picture = to_square(self.records[index].picture(), self.size)
        if len(self.kept) < KEPT_PICTURES:
            self.kept[index] = picture
        return picture


def ranking(name: str, scores: Tensor, right: Tensor) -> dict[str, float]:
    """Share of rows of `scores` (b, n) whose `right` (b,) column stands first, and among the first five."""
    best = scores.topk(min(5, scores.shape[1]), dim=1).indices
    hits = best == right[:, None]
    return {f"{name}_first": float(hits[:, 0].float().mean()), f"{name}_first5": float(hits.any(dim=1).float().mean())}


def names_a_side(caption: str) -> bool:
    """Whether a caption would be false of the mirrored picture."""
    return bool({"left", "right", "lefthand", "righthand"} & set(caption.lower().replace("-", " ").split()))
