"""Textual inversion: one word learns, and what is saved is understood by our pipeline and by diffusers."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import diffusers
import pytest
import torch

import safelight
from safelight.adapters import open_embedding
from safelight.errors import BadInput
from safelight.text.prompt import encode_prompts
from safelight.training.finetuning.settings import WordConfig
from safelight.training.finetuning.word import file_word
from tests.training.finetuning.small_runs import task_of
from tests.training.tiny_tasks import loop_config, run
from tests.weights.references import relative_error

WORD = {"word": "<moon-toy>", "like": "red", "vectors": 2}
PROMPT = "a <moon-toy> on a table"


@pytest.fixture(scope="module")
def trained(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("word")
    task = task_of("embedding", model_folder, folder, word=WORD)
    run(task, loop_config(steps=5, learning_rate=0.3, batch_size=2, average_decay=0.2), folder)
    return task, folder


def test_our_pipeline_reads_the_word_as_it_was_learnt(trained: Any, model_folder: Path) -> None:
    task, folder = trained
    pipe = safelight.load(model_folder, device="cpu")
    pipe.add_embedding(folder / "embedding")
    with torch.no_grad():
        found = encode_prompts([PROMPT], pipe.tokenizer, pipe.text_encoder)
        assert torch.equal(found, task.learner.read([PROMPT]))
    pipe(PROMPT, seed=0, num_inference_steps=1)


def test_diffusers_reads_it_too(trained: Any, model_folder: Path) -> None:
    task, folder = trained
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(model_folder)
    theirs.load_textual_inversion(str(folder / "embedding" / "learned_embeds.safetensors"))
    prompt = theirs.maybe_convert_prompt(PROMPT, theirs.tokenizer)
    ids = theirs.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        assert relative_error(theirs.text_encoder(ids)[0], task.learner.read([PROMPT])) <= 1e-4


def test_both_forms_hold_the_vectors_that_learnt(trained: Any) -> None:
    task, folder = trained
    ours = open_embedding(folder / "embedding")
    plain = open_embedding(folder / "embedding" / "moon-toy.safetensors")
    assert (ours.word, plain.word) == ("<moon-toy>", "moon-toy")
    assert torch.equal(ours.vectors, task.network.vectors)
    assert torch.equal(plain.vectors, ours.vectors)


def test_it_starts_as_the_words_it_is_like(model_folder: Path, tmp_path: Path) -> None:
    pipe = safelight.load(model_folder, device="cpu")
    table = pipe.text_encoder.token_embedding.weight
    red, apple = (table[pipe.tokenizer.words(word)[0]] for word in ("red", "apple"))
    starts = [
        ({"like": "red", "vectors": 1}, red[None]),
        ({"like": "red apple", "vectors": 1}, ((red + apple) / 2)[None]),
        ({"like": "red apple", "vectors": 3}, torch.stack([red, apple, red])),
        ({"like": "", "vectors": 2}, table.mean(0).expand(2, -1)),
    ]
    for number, (settings, expected) in enumerate(starts):
        task = task_of("embedding", model_folder, tmp_path / str(number), word={**WORD, **settings})
        torch.testing.assert_close(task.network.vectors.detach(), expected)


def test_before_the_first_step_the_word_reads_as_what_it_starts_from(model_folder: Path, tmp_path: Path) -> None:
    task = task_of("embedding", model_folder, tmp_path, word={**WORD, "vectors": 1})
    with torch.no_grad():
        assert torch.equal(task.learner.read(["a <moon-toy> cat"]), task.learner.read(["a red cat"]))


def test_captions_come_from_the_templates(model_folder: Path, tmp_path: Path) -> None:
    templates = ("a {word}", "the {word}, seen from above")
    task = task_of("embedding", model_folder, tmp_path, word={**WORD, "templates": templates})
    captions = {task.sample(0, Random(seed))["caption"] for seed in range(100)}
    assert captions == {"", "a <moon-toy>", "the <moon-toy>, seen from above"}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ({"word": " "}, r"word.word is ' '; it must be 1 to 200 letters or signs"),
        ({"vectors": 0}, r"word.vectors is 0; it must be at least 1"),
        ({"templates": ()}, r"word.templates is empty"),
        ({"templates": ("a {thing}",)}, r"word.templates has 'a \{thing\}'; each must hold \{word\}"),
        ({"templates": ("a photo",)}, r"word.templates has 'a photo'"),
        ({"templates": ("a {word",)}, r"word.templates has 'a \{word'"),
    ],
)
def test_settings_that_make_no_word_are_refused(word: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        WordConfig(**word)


def test_a_word_that_the_model_knows_is_refused(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"word.word is .red., which the model knows"):
        task_of("embedding", model_folder, tmp_path, word={"word": "red"})


@pytest.mark.parametrize(
    ("word", "file"), [("<fox>", "fox"), ("my old fox", "my-old-fox"), ("a/../b", "a-b"), ("*", "word")]
)
def test_files_are_called_what_any_disk_takes(word: str, file: str) -> None:
    assert file_word(word) == file
