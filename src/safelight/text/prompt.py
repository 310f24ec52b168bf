"""Prompts of any length: cut into pieces that the text encoder can read, encoded apart, joined again.

A prompt that fits is one piece, exactly as in Stable Diffusion. A longer one is used in full: its words fill as many
pieces as they need, each between its own start and end token, and the UNet attends to the vectors of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from safelight.text.bert import BertEncoder
from safelight.text.clip import TextEncoder
from safelight.text.framing import FramingTokenizer

AnyTextEncoder: TypeAlias = TextEncoder | BertEncoder


def pieces(prompt: str, tokenizer: FramingTokenizer) -> list[list[int]]:
    """The word ids of a prompt in runs of at most `tokenizer.length - 2`; an empty prompt is one empty run.

    A learnt word of several vectors goes into the next run whole; only one longer than a run is parted.
    """
    room = tokenizer.length - 2
    runs: list[list[int]] = [[]]
    for group in tokenizer.groups(prompt):
        if runs[-1] and len(runs[-1]) + len(group) > room:
            runs.append([])
        for word in group:
            if len(runs[-1]) == room:
                runs.append([])
            runs[-1].append(word)
    return runs


def encode_prompts(prompts: Sequence[str], tokenizer: FramingTokenizer, encoder: AnyTextEncoder) -> Tensor:
    """Prompts -> (b, p * length, width), where p is the number of pieces of the longest.

    Shorter prompts are filled up with empty pieces, so that all can be compared by guidance.
    """
    cut = [pieces(prompt, tokenizer) for prompt in prompts]
    longest = max(len(runs) for runs in cut)
    rows = [encode_pieces(runs + [[]] * (longest - len(runs)), tokenizer, encoder) for runs in cut]
    return torch.cat(rows)


def encode_pieces(runs: Sequence[Sequence[int]], tokenizer: FramingTokenizer, encoder: AnyTextEncoder) -> Tensor:
    """Runs of word ids -> (1, len(runs) * length, width)."""
    framed = [tokenizer.framed(run) for run in runs]
    device = next(encoder.parameters()).device
    hidden = encoder(torch.tensor(framed, device=device))
    return hidden.reshape(1, -1, hidden.shape[-1])
