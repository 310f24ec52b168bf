"""Words from embeddings onto a model: its tokenizer learns to see them, its text encoder what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch

from safelight.adapters.attachment import Attachment, SwappedWeight
from safelight.adapters.embedding import Embedding
from safelight.errors import BadCheckpoint, BadInput
from safelight.text import TextEncoder, Tokenizer
from safelight.text.tokenizer import END, START


class Reader(Protocol):
    """What embeddings attach to: `weights.Parts`, a pipeline, or whatever else has these two."""

    tokenizer: Any
    text_encoder: Any


class LearntWords(Tokenizer):
    """A tokenizer that knows more words: wherever one stands in a text, its ids take the place of its letters.

    Upper and lower case are the same, and any space is as good as another, as in the rest of the prompt.
    """

    def __init__(self, tokenizer: Tokenizer, learnt: Mapping[str, Sequence[int]]) -> None:
        self.__dict__.update(vars(tokenizer))
        self.learnt = dict(sorted(learnt.items(), key=lambda entry: -len(entry[0])))  # the longest word wins
        patterns = [r"\s+".join(map(re.escape, word.split())) for word in self.learnt]
        self.pattern = re.compile("|".join(f"({pattern})" for pattern in patterns), re.IGNORECASE)

    def words(self, text: str) -> list[int]:
        """The ids of a text alone: no start, no end, no limit."""
        ids: list[int] = []
        place, vectors = 0, list(self.learnt.values())
        for found in self.pattern.finditer(text if isinstance(text, str) else ""):
            ids += super().words(text[place : found.start()])
            ids += vectors[(found.lastindex or 1) - 1]
            place = found.end()
        return ids + super().words(text[place:] if place else text)

    def save(self, folder: Any) -> None:
        """Refused: the vocabulary of a folder has no room for learnt words."""
        raise BadInput(f"The model has learnt {', '.join(self.learnt)}; detach its embeddings before it is saved.")


def attach_embedding(parts: Reader, embeddings: Sequence[Embedding]) -> Attachment:
    """Teach a model the words of embeddings: new token ids, and as many new rows in the text encoder's table.

    What was attached last comes off first; otherwise detaching raises BadInput. Raises BadInput for a word that the
    model knows already, BadCheckpoint for vectors of another width; then nothing is attached.
    """
    tokenizer, encoder = parts.tokenizer, parts.text_encoder
    if not isinstance(tokenizer, Tokenizer) or not isinstance(encoder, TextEncoder):
        raise BadInput("Embeddings need a model with CLIP's tokenizer and text encoder; this one has none.")
    learnt = dict(tokenizer.learnt) if isinstance(tokenizer, LearntWords) else {}
    table, first = encoder.token_embedding, encoder.config.vocabulary
    for embedding in embeddings:
        _check(embedding, tokenizer, learnt, encoder.config.width)
        count = len(embedding.vectors)
        learnt[_folded(embedding.word)] = list(range(first, first + count))
        first += count
    if not embeddings:
        return Attachment()
    rows = [table.weight, *(embedding.vectors.to(table.weight) for embedding in embeddings)]
    swapped = SwappedWeight(table, torch.cat([row.detach() for row in rows]))
    grown = LearntWords(tokenizer, learnt)
    parts.tokenizer = grown
    _set_vocabulary(encoder, first)

    def restore() -> None:
        if parts.tokenizer is not grown or not swapped.is_on_top:
            raise BadInput("Embeddings were attached over these; detach those first.")
        swapped.restore()
        parts.tokenizer = tokenizer
        _set_vocabulary(encoder, len(table.weight))

    return Attachment(restore)


def _check(embedding: Embedding, tokenizer: Tokenizer, learnt: Mapping[str, Sequence[int]], width: int) -> None:
    word = _folded(embedding.word)
    if word in learnt or len(tokenizer.words(word)) < 2 or word in (START, END):
        raise BadInput(f"{embedding.name}: the model knows the word {embedding.word!r} already; give it another.")
    if embedding.vectors.shape[1] != width:
        raise BadCheckpoint(
            f"{embedding.name} has vectors {embedding.vectors.shape[1]} wide; the text encoder's are {width} wide."
        )


def _set_vocabulary(encoder: TextEncoder, size: int) -> None:
    encoder.token_embedding.num_embeddings = size
    encoder.config = replace(encoder.config, vocabulary=size)


def _folded(word: str) -> str:
    return " ".join(word.lower().split())
