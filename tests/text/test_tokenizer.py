"""Our tokenizer: trained, saved, opened again, and token for token what transformers' CLIPTokenizer gives."""

import json
from pathlib import Path

import pytest
import torch
from transformers import CLIPTokenizer

from safelight.errors import BadCheckpoint, BadInput
from safelight.text import Tokenizer

CORPUS = [
    "a red fox under a full moon",
    "a photograph of an astronaut riding a horse, 4k, highly detailed",
    "the fox's den isn't far; they're there and we've seen it, I'll say, I'd say, I'm sure",
    "a café in Zürich, naïve façade, straße",
    "def f(x): return x + 1",
    "日本の狐、赤い月",
] * 3

TEXTS = [
    "",
    " ",
    "a red fox under a full moon",
    "A RED  FOX\tunder\n\na full   MOON ",
    "unheard-of words: zyxwvut, antidisestablishmentarianism",
    "the fox's den; we've, they'll, I'd, I'M, isn't, ''s 'sup",
    "café cafe\u0301 naïve Zürich STRASSE straße İstanbul ﬁne ½ x² Ⅷ",
    "日本の狐、赤い月 한국어 العربية עברית हिन्दी ไทย",
    "🦊 🌕 👩‍🚀👨‍👩‍👧 🏳️‍🌈 ❤️",
    "\x00\x01 bell\x07 del\x7f nbsp\u00a0zero\u200bwidth\ufeffbom\u2028line",
    "\u3000wide\u3000space \u0085next",
    "3.14159 100,000 1/2 v1-5 2024-01-02",
    "for (int i = 0; i < n; ++i) { a[i] <<= 2; } // $x_1 -> \\n",
    "http://example.org/a?b=c&d=%20#e",
    "!!! ??? ... --- *** ((red)) [fox:moon:0.5] <tag> | & ~ ^ `",
    "&amp; &lt;b&gt; <br/>",
    "__init__ snake_case camelCase",
    "\ud7ff\ue000 private \U000e0001tag",
    "fox " * 300,
    "x" * 2000,
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(CORPUS, size=700, length=77)


@pytest.fixture(scope="module")
def folder(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(path)
    return path


@pytest.fixture(scope="module")
def reference(folder: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_the_same_tokens_as_transformers(text: str, tokenizer: Tokenizer, reference: CLIPTokenizer) -> None:
    assert tokenizer.words(text) == reference(text, add_special_tokens=False)["input_ids"]
    expected = reference(text, padding="max_length", truncation=True, return_tensors="pt")
    assert reference.model_max_length == 77
    assert torch.equal(tokenizer([text]).ids, expected["input_ids"])


def test_what_was_saved_is_opened_the_same(tokenizer: Tokenizer, folder: Path) -> None:
    again = Tokenizer.load(folder)
    assert again.vocabulary == tokenizer.vocabulary
    assert again.merges == tokenizer.merges
    assert (again.length, again.pad) == (77, tokenizer.pad)
    assert all(again.words(text) == tokenizer.words(text) for text in TEXTS)


def test_what_transformers_saves_is_opened_the_same(
    tokenizer: Tokenizer, reference: CLIPTokenizer, tmp_path: Path
) -> None:
    reference.save_pretrained(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.length == 77
    assert all(torch.equal(again([text]).ids, tokenizer([text]).ids) for text in TEXTS)


def test_another_padding_token_is_kept(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text("utf-8"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**settings, "pad_token": "!"}))
    ours, theirs = Tokenizer.load(tmp_path), CLIPTokenizer.from_pretrained(tmp_path)
    expected = theirs(TEXTS[2], padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
    assert ours([TEXTS[2]]).ids[0, -1] == ours.vocabulary["!"]
    assert torch.equal(ours([TEXTS[2]]).ids, expected)


def test_the_end_is_where_the_text_ends(tokenizer: Tokenizer) -> None:
    tokens = tokenizer(["", "a fox", "fox " * 300])
    assert tokens.ids.shape == (3, 77)
    assert [int(row[end]) for row, end in zip(tokens.ids, tokens.end, strict=True)] == [tokenizer.end_id] * 3
    assert tokens.end.tolist() == [1, 1 + len(tokenizer.words("a fox")), 76]


def test_the_name_of_a_special_token_is_read_as_that_token(tokenizer: Tokenizer, reference: CLIPTokenizer) -> None:
    for text in ("a <|endoftext|> b", "<|startoftext|>a<|endoftext|><|ENDOFTEXT|>", "<|endoftext"):
        assert tokenizer.words(text) == reference(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.words("a <|endoftext|> b")[1] == tokenizer.end_id
    assert tokenizer(["a <|endoftext|> b"]).end.tolist() == [4]  # where the prompt ends, whatever it says


def test_a_vocabulary_is_no_larger_than_asked(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.vocabulary) <= 700
    assert sorted(tokenizer.vocabulary.values()) == list(range(len(tokenizer.vocabulary)))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("vocab.json", ""),
        ("vocab.json", "{"),
        ("vocab.json", "[1, 2]"),
        ("vocab.json", '{"a": 0}'),
        ("vocab.json", '{"a": "zero", "<|startoftext|>": 1, "<|endoftext|>": 2}'),
        ("merges.txt", "#version: 0.2\nfo nowhere\n"),
        ("vocab.json", '{"<|startoftext|>": -1, "<|endoftext|>": 2}'),
        ("merges.txt", "a b c\n"),
        ("merges.txt", "\udcff"),
        ("tokenizer_config.json", "nonsense"),
        ("tokenizer_config.json", "[]"),
        ("tokenizer_config.json", '{"model_max_length": "long"}'),
        ("tokenizer_config.json", '{"model_max_length": 0}'),
        ("tokenizer_config.json", '{"pad_token": "<nowhere>"}'),
    ],
)
def test_damaged_files_are_refused(file: str, content: str, folder: Path, tmp_path: Path) -> None:
    for original in folder.iterdir():
        (tmp_path / original.name).write_bytes(original.read_bytes())
    (tmp_path / file).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadCheckpoint):
        Tokenizer.load(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="holds neither vocab"):
        Tokenizer.load(tmp_path)


def test_a_prompt_must_be_text(tokenizer: Tokenizer) -> None:
    with pytest.raises(BadInput, match="must be text, got int"):
        tokenizer.words(3)  # type: ignore[arg-type]


def test_half_a_pair_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(BadInput, match=r"character 5 of this one is U\+D83E"):
        tokenizer.words("fox \ud83e\udd8a")


def test_a_length_without_room_is_refused() -> None:
    with pytest.raises(BadInput, match="length is 1"):
        Tokenizer.from_merges([], length=1, pad="!")


def test_merges_are_numbered_as_clip_numbers_them() -> None:
    tokenizer = Tokenizer.from_merges(["f o", "fo x</w>"], length=77, pad="!")
    assert tokenizer.words("fox") == [513]
    assert tokenizer.words("!") == [tokenizer.pad_id] == [0]
    assert tokenizer.words("a") == [256 + ord("a") - ord("!")]
    assert (tokenizer.start_id, tokenizer.end_id) == (514, 515)
