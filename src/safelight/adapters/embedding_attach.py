"""Words from embeddings onto a model: its tokenizer learns to see them, its text encoder what they mean."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import nn

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
    without: the tokenizer that does not know them. first: the id of the first word's first vector.
    """

    def __init__(self, without: Tokenizer, embeddings: Sequence[Embedding], first: int) -> None:
        self.__dict__.update(vars(without))
        self.without = without
        self.embeddings = tuple(embeddings)
        self.learnt: dict[str, range] = {}
        for embedding in embeddings:
            self.learnt[folded(embedding.word)] = range(first, first + len(embedding.vectors))
            first += len(embedding.vectors)
        # The longest word wins.
        self.by_group = sorted(self.learnt.items(), key=lambda entry: len(entry[0]), reverse=True)
        patterns = [r"\s+".join(map(re.escape, word.split())) for word, _ in self.by_group]
        self.pattern = re.compile("|".join(f"({pattern})" for pattern in patterns), re.IGNORECASE)

    def words(self, text: str) -> list[int]:
        """The ids of a text alone: no start, no end, no limit."""
        return [word for group in self.groups(text) for word in group]

    def groups(self, text: str) -> list[list[int]]:
        """The same ids in groups that must not be parted: those of a learnt word stay together."""
        groups: list[list[int]] = []
        place = 0
        for found in self.pattern.finditer(text if isinstance(text, str) else ""):
            groups += [[word] for word in super().words(text[place : found.start()])]
            groups.append(list(self.by_group[(found.lastindex or 1) - 1][1]))
            place = found.end()
        return groups + [[word] for word in super().words(text[place:] if place else text)]

    def save(self, folder: Path) -> None:
        """Refused: the vocabulary of a folder has no room for learnt words."""
        raise BadInput(f"The model has learnt {', '.join(self.learnt)}; detach its embeddings before it is saved.")


def attach_embedding(parts: Reader, embeddings: Sequence[Embedding]) -> Attachment:
    """Teach a model the words of embeddings: new token ids, and as many new rows in the text encoder's table.

    Attachments come off in any order. Raises BadInput for a word that the model knows already, BadCheckpoint for
    vectors of another width; then nothing is attached.
    """
    tokenizer, encoder = parts.tokenizer, parts.text_encoder
    if not isinstance(tokenizer, Tokenizer) or not isinstance(encoder, TextEncoder):
        raise BadInput("Embeddings need a model with CLIP's tokenizer and text encoder; this one has none.")
    known = tokenizer.embeddings if isinstance(tokenizer, LearntWords) else ()
    words = {folded(embedding.word) for embedding in known}
    for embedding in embeddings:
        _check(embedding, tokenizer, words, encoder.config.width)
        words.add(folded(embedding.word))
    _teach(parts, (*known, *embeddings))
    return Attachment(lambda: _forget(parts, embeddings))


TABLES: WeakKeyDictionary[nn.Module, SwappedWeight] = WeakKeyDictionary()  # those that hold learnt words


def _teach(parts: Reader, embeddings: Sequence[Embedding]) -> None:
    """Have the model know these words and no other learnt ones."""
    encoder, tokenizer = parts.text_encoder, parts.tokenizer
    table = encoder.token_embedding
    swapped = TABLES.setdefault(table, SwappedWeight(table))
    swapped.check(table)
    original = swapped.original()
    without = tokenizer.without if isinstance(tokenizer, LearntWords) else tokenizer
    if embeddings:
        swapped.swap(table, torch.cat([original, *(embedding.vectors.to(original) for embedding in embeddings)]))
        parts.tokenizer = LearntWords(without, embeddings, first=len(original))
    else:
        swapped.restore(table)
        del TABLES[table]
        parts.tokenizer = without
    table.num_embeddings = len(table.weight)
    encoder.config = replace(encoder.config, vocabulary=len(table.weight))


def _forget(parts: Reader, embeddings: Sequence[Embedding]) -> None:
    if not isinstance(parts.tokenizer, LearntWords):
        raise BadInput("The tokenizer was replaced while it knew learnt words; detach embeddings before that.")
    known = parts.tokenizer.embeddings
    _teach(parts, [one for one in known if not any(one is embedding for embedding in embeddings)])


def _check(embedding: Embedding, tokenizer: Tokenizer, words: Collection[str], width: int) -> None:
    word = folded(embedding.word)
    if word in words or len(tokenizer.words(word)) < 2 or word in (START, END):
        raise BadInput(
            f"{embedding.name}: the model knows the word {embedding.word!r} already; give it another (FILE=WORD)."
        )
    if embedding.vectors.shape[1] != width:
        raise BadCheckpoint(
            f"{embedding.name} has vectors {embedding.vectors.shape[1]} wide; the text encoder's are {width} wide."
        )


def folded(word: str) -> str:
    """A word as it is compared: in lower case, with single spaces."""
    return " ".join(word.lower().split())
