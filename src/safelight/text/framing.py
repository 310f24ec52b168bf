"""Texts to token ids of one length, between a start and an end token: what CLIP's and BERT's tokenizers share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend
from torch import Tensor

from safelight.errors import BadCheckpoint, BadInput


@dataclass(frozen=True)
class Tokens:
    """Token ids of several prompts, cut or padded to one length.

    ids: (b, n) int64. end: (b,) int64, the position of each prompt's end token.
    """

    ids: Tensor
    end: Tensor


class FramingTokenizer:
    """Prompts to token ids; each kind of tokenizer brings its own backend and its own marks.

    Where a special token's name stands in a text, it is that one token, as transformers reads it.
    """

    def __init__(
        self,
        backend: Backend,
        vocabulary: Mapping[str, int],
        *,
        length: int,
        start: str,
        end: str,
        pad: str,
        special: Iterable[str],
    ) -> None:
        special = [*special, start, end, pad]
        for token in special:
            if token not in vocabulary:
                raise BadCheckpoint(f"The vocabulary of {len(vocabulary)} tokens lacks {token!r}.")
        if length < 2:
            raise BadInput(f"A tokenizer's length is {length}; start and end take 2.")
        backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
        self.backend = backend
        self.vocabulary = dict(vocabulary)
        self.length = length
        self.pad = pad
        self.start_id, self.end_id, self.pad_id = vocabulary[start], vocabulary[end], vocabulary[pad]

    def words(self, text: str) -> list[int]:
        """The ids of a text alone: no start, no end, no limit. Raises BadInput for what is no Unicode text."""
        if not isinstance(text, str):
            raise BadInput(f"A prompt must be text, got {type(text).__name__}.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            half = f"U+{ord(text[error.start]):04X}"
            raise BadInput(
                f"A prompt must be Unicode text; character {error.start + 1} of this one is {half}, half of a pair."
            ) from error
        return list(self.backend.encode(text, add_special_tokens=False).ids)

    def groups(self, text: str) -> list[list[int]]:
        """The same ids in groups that must not be parted: here each alone."""
        return [[word] for word in self.words(text)]

    def framed(self, words: Sequence[int]) -> list[int]:
        """At most `length - 2` ids between start and end, padded to `length`."""
        ids = [self.start_id, *words, self.end_id]
        return ids + [self.pad_id] * (self.length - len(ids))

    def __call__(self, prompts: Sequence[str]) -> Tokens:
        """Each prompt between start and end, cut to `length` and padded: ids (b, length)."""
        rows, ends = [], []
        for prompt in prompts:
            words = self.words(prompt)[: self.length - 2]
            ends.append(len(words) + 1)
            rows.append(self.framed(words))
        return Tokens(torch.tensor(rows), torch.tensor(ends))
