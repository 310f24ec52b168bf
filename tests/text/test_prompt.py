"""Prompts of any length are read to their last word."""

from __future__ import annotations

import pytest
import torch

from safelight.pipeline import Pipeline
from safelight.text.prompt import encode_pieces, encode_prompts, pieces

LONG = "two red cats under a full moon and a green apple on a table " * 20


def encode(pipe: Pipeline, *prompts: str) -> torch.Tensor:
    with torch.no_grad():
        return encode_prompts(prompts, pipe.tokenizer, pipe.text_encoder)


@pytest.mark.parametrize("prompt", ["", "a red apple", LONG])
def test_no_word_is_lost_or_moved(prompt: str, pipe: Pipeline) -> None:
    cut = pieces(prompt, pipe.tokenizer)
    assert [word for piece in cut for word in piece] == pipe.tokenizer.words(prompt)
    assert all(len(piece) == 75 for piece in cut[:-1])
    assert len(cut[-1]) <= 75


@pytest.mark.parametrize(("words", "count"), [(0, 1), (1, 1), (75, 1), (76, 2), (150, 2), (151, 3)])
def test_a_piece_holds_75_words(words: int, count: int, pipe: Pipeline) -> None:
    prompt = "a " * words
    assert len(pipe.tokenizer.words(prompt)) == words
    assert encode(pipe, prompt).shape == (1, 77 * count, 32)


def test_a_prompt_that_fits_is_read_as_stable_diffusion_reads_it(pipe: Pipeline) -> None:
    with torch.no_grad():
        expected = pipe.text_encoder(pipe.tokenizer(["a red apple"]).ids)
    assert torch.equal(encode(pipe, "a red apple"), expected)


def test_each_piece_is_a_prompt_of_its_own(pipe: Pipeline) -> None:
    cut = pieces(LONG, pipe.tokenizer)
    with torch.no_grad():
        alone = [encode_pieces([piece], pipe.tokenizer, pipe.text_encoder) for piece in cut]
    assert torch.allclose(encode(pipe, LONG), torch.cat(alone, dim=1), atol=1e-6)


def test_shorter_prompts_are_filled_with_empty_pieces(pipe: Pipeline) -> None:
    both = encode(pipe, "a red apple", LONG)
    count = len(pieces(LONG, pipe.tokenizer))
    assert both.shape == (2, 77 * count, 32)
    assert torch.allclose(both[:1, :77], encode(pipe, "a red apple"), atol=1e-6)
    assert torch.allclose(both[:1, 77:], encode(pipe, "").repeat(1, count - 1, 1), atol=1e-6)
    assert torch.allclose(both[1:], encode(pipe, LONG), atol=1e-6)
