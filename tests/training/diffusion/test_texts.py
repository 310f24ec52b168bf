"""Hidden states of captions: in memory, and in a file that knows whose they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from safelight.training.diffusion import texts as texts_of_captions
from safelight.training.diffusion.texts import TextCache
from tests.training.tiny_tasks import diffusion_task, parts

CAPTIONS = ["a red circle", "a blue bar", ""]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The captions that the encoder had to read."""
    asked: list[str] = []
    computed = TextCache._computed

    def noted(self: TextCache, caption: str) -> Any:
        asked.append(caption)
        return computed(self, caption)

    monkeypatch.setattr(TextCache, "_computed", noted)
    return asked


def cache() -> TextCache:
    made = parts()
    return TextCache(made.tokenizer, made.text_encoder)


def test_hidden_states_are_computed_once_and_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    made = parts()
    texts = TextCache(made.tokenizer, made.text_encoder)
    together = texts(["a red circle", "a blue bar", "a red circle"])
    assert torch.equal(together[0], together[2])
    assert len(texts.kept) == 2
    monkeypatch.setattr(texts_of_captions, "KEPT_TEXTS", 2)
    assert torch.equal(texts(["", "a blue bar", "a red circle"])[1:], together[[1, 2]])
    assert len(texts.kept) <= 2
    with torch.no_grad():
        expected = made.text_encoder(made.tokenizer(["a blue bar"]).ids)
    torch.testing.assert_close(together[1:2], expected, rtol=1e-2, atol=1e-2)


def test_what_is_stored_is_read_by_nobody_again(tmp_path: Path, read: list[str]) -> None:
    plain = cache()(CAPTIONS)
    read.clear()
    first = cache()
    first.store(CAPTIONS, tmp_path)
    assert read == CAPTIONS
    second = cache()
    second.store([*CAPTIONS, "a green cross"], tmp_path)
    assert read == [*CAPTIONS, "a green cross"]
    assert torch.equal(second(CAPTIONS), plain)
    assert torch.equal(first(CAPTIONS), plain)
    assert len(read) == 4
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    second(["something else"])
    assert read[-1] == "something else"


def test_another_text_encoder_has_a_file_of_its_own(tmp_path: Path, read: list[str]) -> None:
    cache().store(CAPTIONS, tmp_path)
    other = cache()
    with torch.no_grad():
        next(other.encoder.parameters()).add_(0.1)
    other.store(CAPTIONS, tmp_path)
    assert len(read) == 6
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_file_is_made_again(tmp_path: Path, read: list[str]) -> None:
    cache().store(CAPTIONS, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    again = cache()
    again.store(CAPTIONS, tmp_path)
    assert len(read) == 6
    assert again(CAPTIONS).shape[0] == 3


def test_a_task_keeps_what_it_may_read(tmp_path: Path, read: list[str]) -> None:
    task = diffusion_task(tmp_path, keep_texts=True)
    seen = len(read)
    assert seen == 33  # of 16 pictures over two backgrounds, and the empty one
    with torch.no_grad():
        task.evaluate()
    assert len(read) == seen


def test_what_is_kept_does_not_depend_on_the_precision_around_it() -> None:
    plain, mixed = cache()(CAPTIONS), cache()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mixed(CAPTIONS), plain)


def test_texts_of_two_folders_are_both_taken_from_the_disk(tmp_path: Path, read: list[str]) -> None:
    both = cache()
    both.store(CAPTIONS, tmp_path / "own")
    both.store(["a green cross"], tmp_path / "prior")
    read.clear()
    both([*CAPTIONS, "a green cross"])
    assert read == []
