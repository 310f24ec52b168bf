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
from safelight.data.backdrop import COLOURS, is_cut_out, on_colour, with_background
from safelight.data.captions import CaptionSettings, choose, names_a_side
from safelight.data.collection import Record, check_captions, fingerprint, some_of, split_up
from safelight.images import to_tensor
from safelight.text import Tokenizer
from safelight.training.clip.chunks import in_chunks
from safelight.training.clip.contrast import CONTRASTS, plain
from safelight.training.clip.figures import ranking, retrieval, said
from safelight.training.clip.settings import ClipDataConfig, ClipLossConfig
from safelight.training.engine.checkpoint import checkpoints
from safelight.training.engine.gathering import gathered
from safelight.training.engine.noise import SampleNoise
from safelight.training.engine.processes import is_main
from safelight.training.picture_cache import PictureCache
from safelight.weights import save_clip
from safelight.weights.files import write_json
from safelight.weights.whole_folder import whole_folder

HELD_OUT = 400
AT_ONCE = {"pictures": 64, "texts": 256}  # in an evaluation
BACKGROUND_COUNT = 20  # how often the tokenizer is shown each background's words


def tokenizer_of_run(folder: Path, records: Sequence[Record], data: ClipDataConfig, *, length: int) -> Tokenizer:
    """The tokenizer that a run has begun with; a new run learns one from the training captions and keeps it.

    Of several processes, the main one does; see `Processes.main_first`.
    """
    begun = bool(checkpoints(folder / "checkpoints")) or not is_main()
    if begun and (folder / "tokenizer").exists():
        return Tokenizer.load(folder / "tokenizer")
    check_captions(records)
    training, _ = split_up(records)
    backgrounds = [with_background("", colour) for colour in COLOURS]
    captions = [caption for record in training for caption in record.captions]
    tokenizer = Tokenizer.train([*captions, *backgrounds * BACKGROUND_COUNT], size=data.vocabulary, length=length)
    tokenizer.save(folder / "tokenizer")
    return tokenizer


def as_it_sees(size: int) -> dict[str, Any]:
    """What is done to a picture before the image encoder sees it, as transformers' CLIPImageProcessor reads it.

    Pictures were squares of `size` pixels in [-1, 1].
    """
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }


class ClipTask:
    """CLIP with its captioned pictures; see `training.engine.task.Task`. The tokenizer gives the vocabulary's size."""

    def __init__(
        self,
        text: TextEncoderConfig,
        image: ImageEncoderConfig,
        data: ClipDataConfig,
        loss: ClipLossConfig,
        records: Sequence[Record],
        tokenizer: Tokenizer,
    ) -> None:
        check_captions(records)
        training, held_out = split_up(records)
        self.data = data
        self.settings = loss
        self.captions = CaptionSettings(
            first_share=data.first_caption_share,
            dropout=0,
            shuffle_share=data.shuffle_share,
            keep_tags=data.keep_tags,
            tag_dropout=data.tag_dropout,
        )
        self.tokenizer = tokenizer
        self.network = CONTRASTS[loss.kind](replace(text, vocabulary=len(tokenizer.vocabulary)), image)
        self.size = len(training)
        self.fingerprint = fingerprint(training)
        self.pictures = PictureCache(training, image.size)
        self.held_out = PictureCache(some_of(held_out, HELD_OUT), image.size)
        self.names = {name: values for name in data.zero_shot if len(values := values_of(records, name)) > 1}

    def sample(self, index: int, random: Random) -> dict[str, Any]:
        """A picture (3, size, size) in [-1, 1], with the token ids of one of its captions."""
        picture = self.pictures[index]
        caption = choose(self.pictures.records[index].captions, self.captions, random)
        colour = "white"
        if is_cut_out(picture) and random.random() >= self.data.white_share:
            colour = random.choice(list(COLOURS))
            caption = with_background(caption, colour)
        image = to_tensor(on_colour(cropped(picture, self.data.least_crop, random), COLOURS[colour]))
        if random.random() < self.data.flip_share and not names_a_side(caption):
            image = image.flip(-1)
        tokens = self.tokenizer([caption])
        return {"image": image, "ids": tokens.ids[0], "end": tokens.end[0]}

    def loss(self, batch: dict[str, Tensor], noise: SampleNoise) -> dict[str, Tensor]:
        """The contrastive loss of a batch; its texts are cut to the longest, for later positions change nothing."""
        longest = int(batch["end"].max()) + 1
        at_once = self.settings.at_once
        texts = in_chunks(self.network.embed_text, at_once, batch["ids"][:, :longest], batch["end"])
        images = in_chunks(self.network.embed_image, at_once, batch["image"])
        return self.network.contrast(*map(gathered, (images.float(), texts.float(), batch["ids"])))

    def evaluate(self) -> dict[str, float]:
        """Retrieval among the held-out pairs, and how often the right value of a field ranks first, asked in words.

        Held-out pictures are asked for by their first captions, each of which counts once.
        """
        shown = [row for row in range(len(self.held_out)) if self.held_out.can_be_read(row)]
        if not shown:
            return {}
        records = [self.held_out.records[row] for row in shown]
        images = self._embed_pictures(shown)
        captions = list(dict.fromkeys(record.captions[0] for record in records))
        own = images.new_tensor([captions.index(record.captions[0]) for record in records])
        figures = retrieval(images @ self._embed_texts(captions).T, own)
        for name, values in self.names.items():
            asked = [row for row, record in enumerate(records) if name in record.fields]
            if asked:
                right = torch.tensor([[str(records[row].fields[name]) == value for value in values] for row in asked])
                scores = images[asked] @ self._embed_names(values, self.data.zero_shot[name]).T
                figures |= ranking(name, scores, right.to(scores.device))
        return figures

    def sheet(self) -> Image.Image | None:
        """CLIP makes no pictures."""
        return None

    def export(self, folder: Path) -> None:
        """Write tokenizer and both encoders into `folder/tokenizer` and `folder/clip`."""
        if not (folder / "tokenizer").exists():  # most runs have written it before their first step, and go on with it
            with whole_folder(folder / "tokenizer", mark="vocab.json") as partial:
                self.tokenizer.save(partial)
        save_clip(folder / "clip", plain(self.network))
        write_json(folder / "clip" / "preprocessor_config.json", as_it_sees(self.network.image.config.size))

    def _embed_pictures(self, shown: Sequence[int]) -> Tensor:
        """These held-out pictures, on white: (n, d)."""
        device = self.network.log_scale.device
        rows = []
        for start in range(0, len(shown), AT_ONCE["pictures"]):
            part = shown[start : start + AT_ONCE["pictures"]]
            pictures = [to_tensor(on_colour(self.held_out[row], COLOURS["white"])) for row in part]
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

    def _embed_names(self, names: Sequence[str], sentences: Sequence[str]) -> Tensor:
        """Each name: (n, d), the mean of the sentences in which it is said (Radford et al. 2021, section 3.1.4)."""
        texts = torch.stack([self._embed_texts([said(each, name) for name in names]) for each in sentences])
        return functional.normalize(texts.mean(dim=0), dim=-1)


def values_of(records: Sequence[Record], name: str) -> list[str]:
    """All values that a field has, sorted."""
    return sorted({str(record.fields[name]) for record in records if name in record.fields})


def cropped(picture: Image.Image, least: float, random: Random) -> Image.Image:
    """A random square of a square picture, of at least that share of its area, at the size of the whole."""
    side = picture.width * random.uniform(least, 1) ** 0.5
    left, top = (random.uniform(0, picture.width - side) for _ in range(2))
    if side == picture.width:
        return picture
    return picture.resize(picture.size, Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
