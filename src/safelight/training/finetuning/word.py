"""Textual inversion: a new word's vectors learn, and nothing else does (Gal et al. 2022, section 3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from safelight.adapters import Embedding, attach_embedding, save_embedding
from safelight.adapters.embedding import DIFFUSERS_FILES
from safelight.diffusion.conditioning import Conditioning
from safelight.errors import BadInput
from safelight.text import TextEncoder, Tokenizer
from safelight.training.diffusion.texts import read_with_gradients
from safelight.training.finetuning.frozen import frozen_prediction
from safelight.training.finetuning.settings import WordConfig
from safelight.weights import Parts

FOLDER = "embedding"


class Vectors(nn.Module):
    """The vectors (n, width) of one word, in float32."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.vectors = nn.Parameter(start.clone())


class LearntWord:
    """The vectors of a new word learn, through a text encoder and a UNet whose weights are frozen.

    Raises BadInput for a word that the model knows already.
    """

    def __init__(self, parts: Parts, settings: WordConfig) -> None:
        self.settings = settings
        self.network: Vectors = Vectors(first_vectors(parts, settings))
        self.parts = replace(parts)  # its tokenizer is to know the word; the caller's is not
        attach_embedding(self.parts, [Embedding(word=settings.word, vectors=self.network.vectors.detach())])
        _, encoder = self.parts.reader
        assert isinstance(encoder, TextEncoder)
        encoder.requires_grad_(False)
        self.frozen: Sequence[nn.Module] = [self.parts.unet, encoder]
        self.first = encoder.config.vocabulary - settings.vectors
        encoder.token_embedding.register_forward_hook(self._live)

    def read(self, captions: Sequence[str]) -> Tensor:
        """The hidden states (b, n, d), with gradients."""
        return read_with_gradients(self.parts, captions)

    def predict(self, latent: Tensor, timestep: Tensor, shown: Conditioning) -> Tensor:
        """The UNet's prediction."""
        return frozen_prediction(self.parts, latent, timestep, shown)

    def export(self, folder: Path) -> None:
        """Write the word into `folder/embedding`, as diffusers has it and as AUTOMATIC1111 has it."""
        (folder / FOLDER).mkdir(exist_ok=True)
        word = Embedding(word=self.settings.word, vectors=self.network.vectors.detach())
        save_embedding(folder / FOLDER / DIFFUSERS_FILES[0], word, "diffusers")
        plain = file_word(self.settings.word)
        save_embedding(folder / FOLDER / f"{plain}.safetensors", replace(word, word=plain), "plain")

    def _live(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """What the table of tokens gives, the word's rows being those that learn."""
        (ids,) = inputs
        place = ids - self.first
        learnt = self.network.vectors[place.clamp(min=0)].to(output)
        return torch.where((place >= 0)[..., None], learnt, output)


def first_vectors(parts: Parts, settings: WordConfig) -> Tensor:
    """(n, width) float32: the vectors of the words `like`, in turn, or the mean of all that the model knows.

    Raises BadInput for a model whose words are not CLIP's, and for a word that it knows.
    """
    tokenizer, encoder = parts.tokenizer, parts.text_encoder
    if not isinstance(tokenizer, Tokenizer) or not isinstance(encoder, TextEncoder):
        raise BadInput("A word needs a model with CLIP's tokenizer and text encoder; this one has none.")
    if len(tokenizer.words(settings.word)) < 2:
        raise BadInput(f"word.word is {settings.word!r}, which the model knows; give one that it does not, as <thing>.")
    table = encoder.token_embedding.weight.detach().float()
    ids = tokenizer.words(settings.like)
    known = table[ids] if ids else table.mean(0, keepdim=True)
    if settings.vectors == 1:
        return known.mean(0, keepdim=True)
    return known[torch.arange(settings.vectors) % len(known)]


def file_word(word: str) -> str:
    """The word as a file can be called anywhere: AUTOMATIC1111 takes the file's name for the word."""
    return "-".join(re.findall(r"\w+", word)) or "word"
