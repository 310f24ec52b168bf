"""Judges with random weights, in the folders that a run leaves, and records that need no files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from safelight.configs import ImageEncoderConfig, TextEncoderConfig
from safelight.data.collection import Record
from safelight.text import CLIP, Tokenizer
from safelight.weights import save_clip

TEXTS = ["a red circle", "a blue square", "a green bar on a white background"] * 3


def clip_run(folder: Path, seed: int = 0) -> Path:
    """What `safelight train clip` leaves, of a CLIP that reads 16 x 16 pixels."""
    tokenizer = Tokenizer.train(TEXTS, size=600, length=16)
    shape = {"width": 16, "hidden_width": 32, "layers": 1, "heads": 2, "projection_width": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        text = TextEncoderConfig(vocabulary=len(tokenizer.vocabulary), length=16, **shape)
        clip = CLIP(text, ImageEncoderConfig(size=16, patch=8, **shape))
    save_clip(folder / "clip", clip)
    tokenizer.save(folder / "tokenizer")
    return folder


def plain(colour: str, side: int = 24) -> Image.Image:
    """One colour all over."""
    return Image.new("RGB", (side, side), colour)


def record(key: str, picture: Image.Image, *captions: str, **fields: Any) -> Record:
    """A sample that lies nowhere on disk."""
    written = io.BytesIO()
    picture.save(written, "PNG")
    return Record(key, captions, fields, written.getvalue)


def cut_out(colour: str, side: int = 24) -> Image.Image:
    """A square of one colour in the middle of nothing."""
    picture = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    picture.paste(Image.new("RGBA", (side // 2, side // 2), colour), (side // 4, side // 4))
    return picture
