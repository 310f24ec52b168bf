"""Captions as the UNet reads them, by a text encoder that does not learn: each is computed once and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from safelight.training.engine.disk import writing
from safelight.weights.files import write_tensors
from safelight.weights.parts import AnyTextEncoder, AnyTokenizer, Parts

KEPT_TEXTS = 8192  # of the captions' hidden states in memory, 40 kB each at 77 x 256


class TextCache:
    """Hidden states of captions, each computed alone, so that they do not depend on the batch they came in."""

    def __init__(self, tokenizer: AnyTokenizer, encoder: AnyTextEncoder) -> None:
        self.tokenizer = tokenizer
        self.encoder = encoder
        self.kept: dict[str, Tensor] = {}
        self.stored: dict[str, tuple[Tensor, int]] = {}  # digest -> (n, tokens, width) on the disk, and the row there

    def __call__(self, captions: Sequence[str]) -> Tensor:
        """(b, n, width), on the device of the text encoder."""
        return torch.stack([self._hidden(caption) for caption in captions]).float()

    def store(self, captions: Iterable[str], folder: Path) -> None:
        """Keep these captions' hidden states in a file, from now on, beside those that it holds.

        The file is named after the text encoder's weights, and each caption in it by its SHA-256. Raises BadInput where
        the disk refuses.
        """
        path = folder / f"texts-{self._fingerprint()[:16]}.safetensors"
        wanted = {_digest(caption): caption for caption in captions}
        names, stored = _read(path)
        held = set(names)
        missing = [name for name in wanted if name not in held]
        if missing:
            new = [self._computed(wanted[name]).cpu() for name in tqdm(missing, desc="captions", disable=None)]
            stacked = torch.stack(new) if stored is None else torch.cat([stored, torch.stack(new)])
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_tensors(path, {"hidden": stacked}, {"captions": json.dumps([*names, *missing])})
            names, stored = _read(path)
        if stored is not None:
            self.stored |= {name: (stored, row) for row, name in enumerate(names)}

    def _hidden(self, caption: str) -> Tensor:
        place = self.stored.get(_digest(caption)) if self.stored else None
        if place is not None:
            stored, row = place
            return stored[row].to(next(self.encoder.parameters()).device)
        if caption not in self.kept:
            if len(self.kept) >= KEPT_TEXTS:
                self.kept.clear()
            self.kept[caption] = self._computed(caption)
        return self.kept[caption]

    @torch.no_grad()
    def _computed(self, caption: str) -> Tensor:
        """Always in single precision, whoever asks: what is kept must not depend on who asked first."""
        device = next(self.encoder.parameters()).device
        with torch.autocast(device.type, enabled=False):
            return self.encoder(self.tokenizer([caption]).ids.to(device))[0].to(torch.bfloat16)

    def _fingerprint(self) -> str:
        """A hash of the text encoder's weights and of the tokens that it gets."""
        digest = hashlib.sha256(json.dumps([sorted(self.tokenizer.vocabulary), self.tokenizer.length]).encode())
        for name, tensor in self.encoder.state_dict().items():
            digest.update(name.encode() + tensor.float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def read_with_gradients(parts: Parts, captions: Sequence[str]) -> Tensor:
    """(b, n, width) by a text encoder that learns, or through which something learns: computed anew each time."""
    tokenizer, encoder = parts.reader
    ids = tokenizer(captions).ids.to(next(encoder.parameters()).device)
    hidden: Tensor = encoder(ids)
    return hidden


def _digest(caption: str) -> str:
    return hashlib.sha256(caption.encode()).hexdigest()


def _read(path: Path) -> tuple[list[str], Tensor | None]:
    """The digests of a file's captions, and their hidden states; nothing where it is absent or damaged."""
    try:
        with safe_open(path, "pt") as file:
            names: list[str] = json.loads((file.metadata() or {})["captions"])
            return names, file.get_tensor("hidden")
    except (OSError, SafetensorError, KeyError, ValueError):
        return [], None
