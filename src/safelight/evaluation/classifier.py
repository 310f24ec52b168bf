"""A classifier of pictures, with one head for each question that is asked of them: the judge of what a model draws.

A residual network (He et al. 2016) of the blocks that the UNet is made of. They normalise by groups of channels, not
over the batch, so that the verdict on a picture does not depend on the pictures beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from safelight.configs import ClassifierConfig
from safelight.data.backdrop import COLOURS, on_colour, to_square
from safelight.images import to_tensor
from safelight.layers.normalisation import GroupNorm
from safelight.layers.residual import ResidualBlock, ResidualDownsample
from safelight.weights.fields import Fields
from safelight.weights.key_table import KeyTable
from safelight.weights.network_folder import TRANSFORMERS, load_network, read_config, save_network

FOLDER = "classifier"  # where a run leaves it
NORM_EPSILON = 1e-5
AT_ONCE = 64  # pictures that are judged together
BLOCK = ("norm1", "conv1", "norm2", "conv2", "shortcut")
NAMES = ("stem", "norm", "heads.#", *(f"blocks.#.{part}" for part in BLOCK))
KEYS = KeyTable(rows=tuple((name, name) for name in NAMES))


class Classifier(nn.Module):
    """A picture -> one row of scores for each head. labels: the names that each head tells apart, by head."""

    def __init__(self, config: ClassifierConfig, labels: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.config = config
        self.labels = {head: tuple(names) for head, names in labels.items()}
        first, width = config.channels[0], config.channels[-1]
        # each position sees half a patch of its neighbours too
        self.stem = nn.Conv2d(3, first, 2 * config.patch, stride=config.patch, padding=config.patch // 2)
        self.blocks = nn.ModuleList(_blocks(config))
        self.norm = GroupNorm(config.groups, width, eps=NORM_EPSILON)
        self.heads = nn.ModuleList(nn.Linear(width, len(names)) for names in self.labels.values())

    def features(self, image: Tensor) -> Tensor:
        """(b, 3, size, size) in [-1, 1] -> (b, the last of the channels): the mean over all positions."""
        x = self.stem(image)
        for block in self.blocks:
            x = block(x)
        return functional.silu(self.norm(x)).mean(dim=(2, 3))

    def scores(self, features: Tensor) -> dict[str, Tensor]:
        """(b, the last of the channels) -> by head (b, names), whose softmax are probabilities."""
        return {head: layer(features) for head, layer in zip(self.labels, self.heads, strict=True)}

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(b, 3, size, size) in [-1, 1] -> by head (b, names), whose softmax are probabilities."""
        return self.scores(self.features(image))


def classify(classifier: Classifier, pictures: Sequence[Image.Image]) -> dict[str, Tensor]:
    """How probable each name is for each picture: by head (pictures, names), in float32 on the CPU.

    Of a picture that is not square the middle is judged; transparency is laid over white.
    """
    device = classifier.stem.weight.device
    found: dict[str, list[Tensor]] = {head: [torch.empty(0, len(names))] for head, names in classifier.labels.items()}
    with torch.no_grad():
        for start in range(0, len(pictures), AT_ONCE):
            shown = [_as_seen(picture, classifier.config.size) for picture in pictures[start : start + AT_ONCE]]
            for head, scores in classifier(torch.stack(shown).to(device)).items():
                found[head].append(scores.float().softmax(dim=1).cpu())
    return {head: torch.cat(parts) for head, parts in found.items()}


def save_classifier(folder: Path | str, classifier: Classifier) -> None:
    """Write config.json, with the labels of each head, and model.safetensors; raises BadInput."""
    config = classifier.config
    fields = {
        "size": config.size,
        "patch": config.patch,
        "channels": list(config.channels),
        "blocks_per_level": config.blocks_per_level,
        "groups": config.groups,
        "labels": {head: list(names) for head, names in classifier.labels.items()},
    }
    save_network(folder, fields, TRANSFORMERS, classifier, KEYS)


def load_classifier(folder: Path | str) -> Classifier:
    """The classifier in a folder, or in the run that left it there, ready to judge; raises BadCheckpoint."""
    folder = Path(folder)
    if (folder / FOLDER).is_dir():
        folder = folder / FOLDER
    fields = read_config(folder)
    usual = ClassifierConfig()
    config = fields.build(
        ClassifierConfig,
        size=fields.integer("size", usual.size),
        patch=fields.integer("patch", usual.patch),
        channels=fields.integers("channels", usual.channels),
        blocks_per_level=fields.integer("blocks_per_level", usual.blocks_per_level),
        groups=fields.integer("groups", usual.groups),
    )
    labels = _read_labels(fields)
    classifier = load_network(
        "classifier", lambda: Classifier(config, labels), KEYS, folder, TRANSFORMERS, torch.float32, None
    )
    return classifier.eval()


def _blocks(config: ClassifierConfig) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    before = config.channels[0]
    for level, width in enumerate(config.channels):
        for number in range(config.blocks_per_level):
            kind = ResidualDownsample if level and not number else ResidualBlock
            blocks.append(kind(before, width, embedding_width=0, groups=config.groups, norm_epsilon=NORM_EPSILON))
            before = width
    return blocks


def _as_seen(picture: Image.Image, size: int) -> Tensor:
    return to_tensor(on_colour(to_square(picture.convert("RGBA"), size), COLOURS["white"]))


def _read_labels(fields: Fields) -> dict[str, tuple[str, ...]]:
    labels = fields.inner("labels").values
    for names in labels.values():
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise fields.wrong("labels", "it must give a list of names for each head")
    if not labels:
        raise fields.wrong("labels", "it must give a list of names for at least one head")
    return {head: tuple(names) for head, names in labels.items()}
