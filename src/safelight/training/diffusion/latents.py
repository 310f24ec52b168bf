"""Latents of all training pictures, encoded once and kept in a file that a change of data or autoencoder replaces."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from safelight.data.backdrop import COLOURS, is_cut_out, on_colour, to_square, with_background
from safelight.data.collection import Record
from safelight.errors import BadInput
from safelight.images import to_tensor
from safelight.weights.parts import AnyAutoencoder

ENCODED_AT_ONCE = 8
NAMES = list(COLOURS)


@dataclass(frozen=True)
class View:
    """One way to see a picture: its record, over the background of that name."""

    record: Record
    colour: str

    @property
    def captions(self) -> list[str]:
        """Those that are true of it."""
        return [with_background(caption, self.colour) for caption in self.record.captions]

    def image(self, size: int) -> Tensor:
        """(3, size, size) in [-1, 1]."""
        return to_tensor(on_colour(to_square(self.record.picture(), size), COLOURS[self.colour]))


@dataclass(frozen=True)
class LatentSet:
    """Scaled latents (n, c, h, w) bfloat16, what each shows, and for each record the rows of its latents."""

    latents: Tensor
    views: list[View]
    rows: dict[int, list[int]]


@dataclass(frozen=True)
class Picture:
    """One picture to encode: the place of its record, the name of the colour it lies over, and (3, size, size)."""

    place: int
    colour: str
    image: Tensor


def pictures(records: Sequence[Record], *, size: int, colours: Sequence[str]) -> Iterator[Picture]:
    """Every record over each of the colours; a picture without transparency has one view, and shows no colour."""
    for place, record in enumerate(tqdm(records, desc="latents", unit="picture", disable=None)):
        picture = to_square(record.picture(), size)
        for colour in colours if is_cut_out(picture) else ("white",):
            yield Picture(place, colour, to_tensor(on_colour(picture, COLOURS[colour])))


def latent_set(
    records: Sequence[Record], autoencoder: AnyAutoencoder, *, size: int, colours: Sequence[str], cache: Path
) -> LatentSet:
    """Encode every view of every record, or read `cache` where it was made of the same things."""
    fingerprint = _fingerprint(records, autoencoder, size, colours)
    stored = _read(cache, fingerprint)
    if stored is None:
        stored = _encode(autoencoder, pictures(records, size=size, colours=colours))
        _write(cache, stored, fingerprint)
    rows: dict[int, list[int]] = {}
    seen = []
    for row, (place, colour) in enumerate(zip(stored["sources"].tolist(), stored["colours"].tolist(), strict=True)):
        rows.setdefault(place, []).append(row)
        seen.append(View(records[place], NAMES[colour]))
    return LatentSet(stored["latents"], seen, rows)


def _encode(autoencoder: AnyAutoencoder, found: Iterator[Picture]) -> dict[str, Tensor]:
    device = next(autoencoder.parameters()).device
    latents, sources, colours = [], [], []
    with torch.no_grad():
        while batch := list(islice(found, ENCODED_AT_ONCE)):
            image = torch.stack([picture.image for picture in batch]).to(device, memory_format=torch.channels_last)
            with torch.autocast(device.type, dtype=torch.bfloat16):
                mean = autoencoder.encode(image).mean
            latents.append((mean.float() * autoencoder.config.scale).to("cpu", torch.bfloat16).contiguous())
            sources += [picture.place for picture in batch]
            colours += [NAMES.index(picture.colour) for picture in batch]
    return {"latents": torch.cat(latents), "sources": torch.tensor(sources), "colours": torch.tensor(colours)}


def _read(cache: Path, fingerprint: str) -> dict[str, Tensor] | None:
    """What `_write` wrote; None where it is absent, damaged, or was made of other things."""
    try:
        with safe_open(cache, "pt") as file:
            if (file.metadata() or {}).get("fingerprint") == fingerprint:
                return {name: file.get_tensor(name) for name in ("latents", "sources", "colours")}
    except (OSError, SafetensorError):
        pass
    return None


def _write(cache: Path, stored: dict[str, Tensor], fingerprint: str) -> None:
    beside = cache.with_suffix(".partial")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        save_file(stored, beside, {"fingerprint": fingerprint})
        beside.replace(cache)
    except (OSError, SafetensorError) as error:
        beside.unlink(missing_ok=True)
        raise BadInput(f"The latents {str(cache)!r} cannot be written: {error}.") from error


def _fingerprint(records: Sequence[Record], autoencoder: AnyAutoencoder, size: int, colours: Sequence[str]) -> str:
    """A hash of all that the latents are made of: pictures, backgrounds and autoencoder, but not the captions."""
    shape = dataclasses.asdict(autoencoder.config)
    digest = hashlib.sha256(json.dumps([size, {name: COLOURS[name] for name in colours}, shape]).encode())
    for record in records:
        digest.update(hashlib.sha256(record.read()).digest())
    for name, tensor in autoencoder.state_dict().items():
        digest.update(name.encode() + tensor.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
