"""CLIP as a judge: how well a picture agrees with a text (Radford et al. 2021; Hessel et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from safelight.data.backdrop import to_square
from safelight.errors import BadInput
from safelight.evaluation.digest import SHORT, digest_of
from safelight.images import scaled, to_tensor
from safelight.text import CLIP, ImageEmbedder, Tokenizer
from safelight.text.clip_pixels import DEVIATION, MEAN, clip_pixels
from safelight.weights import load_clip, load_image_embedder
from safelight.weights.empty import without_weights
from safelight.weights.fields import Fields
from safelight.weights.network_folder import CONFIG, read_config

IN_A_RUN, TOKENIZER = "clip", "tokenizer"  # what `safelight train clip` leaves in the folder of its run
PREPROCESSOR = "preprocessor_config.json"
TEXTS_AT_ONCE = 256
OWN_WAY = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # mean and deviation of [0, 1]: pixels in [-1, 1]

Pixels = Callable[[Image.Image], Tensor]


@dataclass(frozen=True)
class ClipJudge:
    """CLIP with its tokenizer. way: what is done to pixels, in words, for names; digest: SHA-256 of all its weights."""

    network: CLIP
    tokenizer: Tokenizer
    pixels: Pixels
    way: str
    digest: str
    device: torch.device

    @property
    def name(self) -> str:
        """Its kind and the beginning of its hash."""
        return f"clip {self.digest[:SHORT]}"

    def image_embedder(self) -> ImageEmbedder:
        """The image half, sharing its weights."""
        return image_half(self.network)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts, cut to the length that CLIP reads -> (n, d) of length 1, on the CPU."""
        rows = []
        with torch.no_grad():
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                tokens = self.tokenizer(texts[start : start + TEXTS_AT_ONCE])
                ids = tokens.ids[:, : int(tokens.end.max()) + 1]
                rows.append(self.network.embed_text(ids.to(self.device), tokens.end.to(self.device)).float().cpu())
        return torch.cat(rows)


def clip_scores(features: Tensor, texts: Tensor) -> Tensor:
    """100 · max(cos, 0) of each picture's features (n, d) and its text's (n, d): (n,). Hessel et al. 2021, w = 100."""
    cosines = (functional.normalize(features, dim=1) * functional.normalize(texts, dim=1)).sum(1)
    return 100 * cosines.clamp(min=0)


def open_clip(path: Path, device: torch.device) -> ClipJudge:
    """A whole CLIP: of a run of `safelight train clip`, or a folder that transformers wrote, with its tokenizer.

    Raises BadInput for a folder of something else, BadCheckpoint for what is damaged.
    """
    folder = network_folder(path)
    if not is_whole(folder):
        raise BadInput(f"{str(path)!r} holds an image encoder alone; agreement with a text needs a whole CLIP.")
    network = load_clip(folder, torch.float32).eval().requires_grad_(False)
    tokenizer = Tokenizer.load(path / TOKENIZER if (path / TOKENIZER).is_dir() else folder)
    pixels, way = pixels_of(path, folder, network.image.config.size)
    return ClipJudge(network.to(device), tokenizer, pixels, way, digest_of(network, way), device)


def open_image_embedder(path: Path) -> tuple[ImageEmbedder, Pixels, str]:
    """The image half of a CLIP with its projection, how it wants its pixels, and that in words."""
    folder = network_folder(path)
    if is_whole(folder):
        embedder = image_half(load_clip(folder, torch.float32))
    else:
        embedder = load_image_embedder(folder, torch.float32)
    pixels, way = pixels_of(path, folder, embedder.config.size)
    return embedder.eval().requires_grad_(False), pixels, way


def image_half(clip: CLIP) -> ImageEmbedder:
    """The image encoder of a CLIP with its projection; both share their weights."""
    with without_weights():
        embedder = ImageEmbedder(clip.image.config)
    embedder.image, embedder.projection = clip.image, clip.image_projection
    return embedder


def network_folder(path: Path) -> Path:
    """Where a CLIP's config.json lies: in the folder itself, or in the `clip` of a run. Raises BadInput."""
    for folder in (path / IN_A_RUN, path):
        if (folder / CONFIG).is_file():
            return folder
    raise BadInput(
        f"{str(path)!r} is no CLIP: it has neither {CONFIG} nor {IN_A_RUN}/{CONFIG}; "
        "give a run of `safelight train clip`, or a folder of transformers' layout."
    )


def is_whole(folder: Path) -> bool:
    """Whether the folder holds both encoders."""
    return read_config(folder).values.get("model_type") == "clip"


def pixels_of(path: Path, folder: Path, size: int) -> tuple[Pixels, str]:
    """How a CLIP wants its pictures, and that in words.

    As its preprocessor_config.json says; without one, a run of ours in [-1, 1], any other as the published ones.
    """
    known: tuple[tuple[float, ...], tuple[float, ...]] = (MEAN, DEVIATION) if folder == path else OWN_WAY
    if (folder / PREPROCESSOR).is_file():
        fields = Fields.read(folder / PREPROCESSOR)
        known = (_three(fields, "image_mean", known[0]), _three(fields, "image_std", known[1]))
    if known == OWN_WAY:
        return lambda picture: to_tensor(to_square(scaled(picture, *picture.size), size)), f"{size}, -1 to 1"
    mean, deviation = (torch.tensor(row)[:, None, None] for row in known)
    usual_mean, usual_deviation = (torch.tensor(row)[:, None, None] for row in (MEAN, DEVIATION))

    def normalised(picture: Image.Image) -> Tensor:
        return (clip_pixels(picture, size) * usual_deviation + usual_mean - mean) / deviation

    usual = known == (MEAN, DEVIATION)
    return (lambda picture: clip_pixels(picture, size)) if usual else normalised, f"{size}, {known}"


def _three(fields: Fields, name: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """Three numbers of a settings file, above all for red, green and blue; raises BadCheckpoint."""
    values = fields.values.get(name, list(default))
    if not isinstance(values, list) or len(values) != 3 or not all(isinstance(value, int | float) for value in values):
        raise fields.wrong(name, "it must be three numbers")
    return tuple(float(value) for value in values)
