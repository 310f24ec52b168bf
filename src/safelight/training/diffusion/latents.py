"""Latents of all training pictures, encoded once and kept in a file that a change of data or autoencoder replaces.

Where there is no autoencoder, the pixels are kept, in eight bits.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from safelight.autoencoder import Pixels
from safelight.data.backdrop import COLOURS
from safelight.data.fingerprint import picture_digests
from safelight.data.record import BadSample, Record
from safelight.errors import BadInput
from safelight.images import to_tensor
from safelight.training.diffusion.views import MIDDLE, Framing, View
from safelight.training.engine.disk import writing
from safelight.weights.files import write_tensors
from safelight.weights.parts import AnyAutoencoder

__all__ = ["LatentSet", "View", "latent_set"]

ENCODED_AT_ONCE = 8
NAMES = list(COLOURS)
MOST_BAD, FEWEST_BAD = 0.05, 3  # the share of unreadable pictures that is put up with, and the number in any case
DECODING = {"latent_in", "decoder"}  # the parts of an autoencoder that latents do not come from
NEWER = ("shapes", "flipped", "places")  # what files of an earlier version lack: there all is of one kind
notes = logging.getLogger(__name__)


@dataclass(frozen=True)
class LatentSet:
    """What is kept of each view: scaled latents, bfloat16, or pixels, uint8.

    stacks: (n, c, h, w), one for each shape of picture; they are read from the disk when they are used. at: for each
    row its stack and its place there. views: what it shows. rows: those of each record that could be read, in their
    order.
    """

    stacks: list[Tensor]
    at: list[tuple[int, int]]
    views: list[View]
    rows: list[list[int]]

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, row: int) -> Tensor:
        """The scaled latent (c, h, w) of a row."""
        stack, place = self.at[row]
        return from_kept(self.stacks[stack][place])

    def choose(self, record: int, first_share: float, random: Random) -> int:
        """One row of a readable record, which is over its first background that often, and otherwise over any."""
        rows = self.rows[record]
        first = [row for row in rows if self.views[row].colour == self.views[rows[0]].colour]
        pool = first if random.random() < first_share else rows
        return pool[0] if len(first) == 1 and pool is first else random.choice(pool)

    def stack(self, row: int) -> int:
        """The number of a row's shape."""
        return self.at[row][0]


def latent_set(records: Sequence[Record], autoencoder: AnyAutoencoder, framing: Framing, cache: Path) -> LatentSet:
    """Encode every view of every record that can be read, or read `cache` where it was made of the same things.

    Raises BadInput where too many records cannot be read.
    """
    fingerprint = _fingerprint(records, autoencoder, framing)
    stored = _read(cache, fingerprint)
    if stored is None:
        _write(cache, _encode(autoencoder, pictures(records, framing)), fingerprint)
        stored = _read(cache, fingerprint)
    if stored is None:
        raise BadInput(f"The latents {str(cache)!r} cannot be read again after they were written.")
    factor = autoencoder.config.factor
    stacks = [stored[name] for name in sorted(name for name in stored if name.startswith("latents"))]
    rows: dict[int, list[int]] = {}
    at, views, filled = [], [], [0] * len(stacks)
    columns = [stored[name].tolist() for name in ("sources", "colours", *NEWER)]
    for row, (record, colour, shape, flipped, place) in enumerate(zip(*columns, strict=True)):
        rows.setdefault(record, []).append(row)
        at.append((shape, filled[shape]))
        filled[shape] += 1
        height, width = stacks[shape].shape[2:]
        views.append(View(records[record], NAMES[colour], (width * factor, height * factor), bool(flipped), place))
    return LatentSet(stacks, at, views, list(rows.values()))


def pictures(records: Sequence[Record], framing: Framing) -> Iterator[tuple[int, View, Tensor]]:
    """Every view of every record, with the record's place and the image (3, H, W)."""
    bad: list[str] = []
    for place, record in enumerate(tqdm(records, desc="latents", unit="picture", disable=None)):
        try:
            picture = record.picture()
        except BadSample as error:
            bad.append(record.key)
            notes.warning("%s It is left out.", error)
            _check_bad(bad, len(records))
            continue
        for view in framing.views(record, picture):
            yield place, view, to_tensor(view.of(picture))
    if bad and len(bad) == len(records):
        raise BadInput(f"None of the {len(records)} pictures can be read, the first is that of sample {bad[0]!r}.")


def _check_bad(bad: Sequence[str], count: int) -> None:
    if len(bad) > max(FEWEST_BAD, MOST_BAD * count):
        raise BadInput(
            f"{len(bad)} of the {count} pictures cannot be read, or more, the first is that of sample {bad[0]!r}; at "
            f"most {MOST_BAD:.0%} may be missing. `safelight data check` lists them."
        )


def _encode(autoencoder: AnyAutoencoder, found: Iterator[tuple[int, View, Tensor]]) -> dict[str, Tensor]:
    """The latents of all views, batched by their shapes, with a column for each thing that is known of a row."""
    sizes: dict[tuple[int, int], int] = {}
    stacks: list[list[Tensor]] = []
    waiting: list[list[Tensor]] = []
    sources, colours, shapes, flipped, places = [], [], [], [], []
    for source, view, image in found:
        shape = sizes.setdefault(view.size, len(sizes))
        if shape == len(stacks):
            stacks.append([])
            waiting.append([])
        sources.append(source)
        colours.append(NAMES.index(view.colour))
        shapes.append(shape)
        flipped.append(int(view.flipped))
        places.append(view.place)
        waiting[shape].append(image)
        if len(waiting[shape]) == ENCODED_AT_ONCE:
            stacks[shape].append(encoded(autoencoder, waiting[shape]))
            waiting[shape] = []
    for stack, rest in zip(stacks, waiting, strict=True):
        if rest:
            stack.append(encoded(autoencoder, rest))
    columns = {"sources": sources, "colours": colours, "shapes": shapes, "flipped": flipped}
    return {
        **{f"latents-{number:03}" if number else "latents": torch.cat(stack) for number, stack in enumerate(stacks)},
        **{name: torch.tensor(column) for name, column in columns.items()},
        "places": torch.tensor(places, dtype=torch.float64),
    }


@torch.no_grad()
def encoded(autoencoder: AnyAutoencoder, images: list[Tensor]) -> Tensor:
    """What is kept of some images of one shape: (n, c, h, w)."""
    image = torch.stack(images)
    if isinstance(autoencoder, Pixels):
        return ((image + 1) * 127.5).round().to(torch.uint8)
    device = next(autoencoder.parameters()).device
    with torch.autocast(device.type, dtype=torch.bfloat16):
        mean = autoencoder.encode(image.to(device, memory_format=torch.channels_last)).mean
    return (mean.float() * autoencoder.config.scale).to("cpu", torch.bfloat16).contiguous()


def from_kept(kept: Tensor) -> Tensor:
    """Latents as they are; pixels, which are kept in eight bits, in [-1, 1]."""
    return kept.float() / 127.5 - 1 if kept.dtype == torch.uint8 else kept


def _read(cache: Path, fingerprint: str) -> dict[str, Tensor] | None:
    """What `_write` wrote; None where it is absent, damaged, or was made of other things."""
    try:
        with safe_open(cache, "pt") as file:
            if (file.metadata() or {}).get("fingerprint") == fingerprint:
                stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dictionary)
                count = len(stored["sources"])
                alike = {"shapes": torch.zeros(count, dtype=torch.long), "flipped": torch.zeros(count)}
                return alike | {"places": torch.full((count,), MIDDLE, dtype=torch.float64)} | stored
    except (OSError, SafetensorError):
        pass
    return None


def _write(cache: Path, stored: dict[str, Tensor], fingerprint: str) -> None:
    with writing(cache):
        cache.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(cache, stored, {"fingerprint": fingerprint})


def _fingerprint(records: Sequence[Record], autoencoder: AnyAutoencoder, framing: Framing) -> str:
    """A hash of all that the latents are made of: pictures, views and encoder, but neither captions nor decoder."""
    sizes = [size[0] if size[0] == size[1] else size for size in framing.sizes]
    colours = {name: COLOURS[name] for name in framing.colours}
    made_of: list[Any] = [sizes[0] if len(sizes) == 1 else sizes, colours, dataclasses.asdict(autoencoder.config)]
    if framing.flip or framing.cuts > 1:
        made_of += [framing.cuts, [framing.turns(record) for record in records]]
    if framing.colours_each:
        made_of.append([framing.colours_of(record) for record in records])
    if framing.cut_outs:
        made_of.append("cut-outs")
    digest = hashlib.sha256(json.dumps(made_of).encode())
    for picture in picture_digests(records):  # empty for one that cannot be read, and will be left out
        digest.update(picture)
    for name, tensor in autoencoder.state_dict().items():
        if DECODING.intersection(name.split(".")):
            continue
        digest.update(name.encode() + tensor.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
