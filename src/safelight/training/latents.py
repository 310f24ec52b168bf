"""Latents of all training pictures, encoded once and kept in a file that a change of data or autoencoder replaces."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from safelight.autoencoder import Autoencoder
from safelight.images import to_tensor
from safelight.training.backdrop import COLOURS, is_cut_out, on_colour, to_square, with_background
from safelight.training.collection import Record

ENCODED_AT_ONCE = 8


@dataclass(frozen=True)
class LatentSet:
    """Scaled latents (n, c, h, w) bfloat16, and what each shows.

    captions: for each latent the captions that are true of it. sources: for each latent its record's place.
    """

    latents: Tensor
    captions: list[list[str]]
    sources: list[int]


def views(record: Record, colours: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The backgrounds that a record is laid over, each with its captions; a picture without transparency has one."""
    if not is_cut_out(record.picture()):
        return [("white", list(record.captions))]
    return [(colour, [with_background(caption, colour) for caption in record.captions]) for colour in colours]


def latent_set(
    records: Sequence[Record], autoencoder: Autoencoder, *, size: int, colours: Sequence[str], cache: Path
) -> LatentSet:
    """Encode every view of every record, or read `cache` where it was made of the same things."""
    listing = [
        (place, colour, captions) for place, record in enumerate(records) for colour, captions in views(record, colours)
    ]
    fingerprint = _fingerprint(records, autoencoder, size, colours)
    latents = _read(cache, fingerprint)
    if latents is None:
        pictures = _pictures(records, listing, size)
        latents = torch.cat(list(_encode(autoencoder, pictures, len(listing))))
        cache.parent.mkdir(parents=True, exist_ok=True)
        beside = cache.with_suffix(".partial")
        save_file({"latents": latents}, beside, {"fingerprint": fingerprint})
        beside.replace(cache)
    return LatentSet(latents, [captions for _, _, captions in listing], [place for place, _, _ in listing])


def _pictures(records: Sequence[Record], listing: Sequence[tuple[int, str, list[str]]], size: int) -> Iterator[Tensor]:
    for place, colour, _ in listing:
        yield to_tensor(on_colour(to_square(records[place].picture(), size), COLOURS[colour]))


def _encode(autoencoder: Autoencoder, pictures: Iterator[Tensor], total: int) -> Iterator[Tensor]:
    device = next(autoencoder.parameters()).device
    with torch.inference_mode(), tqdm(total=total, desc="latents", unit="picture") as bar:
        while batch := [picture for _, picture in zip(range(ENCODED_AT_ONCE), pictures, strict=False)]:
            image = torch.stack(batch).to(device).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, dtype=torch.bfloat16):
                mean = autoencoder.encode(image).mean
            yield (mean.float() * autoencoder.config.scale).to("cpu", torch.bfloat16).contiguous()
            bar.update(len(batch))


def _read(cache: Path, fingerprint: str) -> Tensor | None:
    if not cache.exists():
        return None
    with safe_open(cache, "pt") as file:
        return file.get_tensor("latents") if file.metadata()["fingerprint"] == fingerprint else None


def _fingerprint(records: Sequence[Record], autoencoder: Autoencoder, size: int, colours: Sequence[str]) -> str:
    digest = hashlib.sha256(json.dumps([size, {name: COLOURS[name] for name in colours}]).encode())
    for record in records:
        digest.update(record.read())
    for name, tensor in autoencoder.state_dict().items():
        digest.update(name.encode() + tensor.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
