"""Learnt words: diffusers' load_textual_inversion on the same weights gives the same ids and the same hidden states."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from diffusers.loaders import TextualInversionLoaderMixin
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer
from weights.references import TOLERANCE, noise, relative_error

from adapters.conftest import WIDTH, Model, Reference
from adapters.low_rank import write
from safelight.adapters import Embedding, attach_embedding, open_embedding, save_embedding
from safelight.errors import BadCheckpoint, BadInput
from safelight.text.prompt import encode_prompts, pieces
from safelight.weights.formats import read_file, read_tree

VECTORS = noise(3, WIDTH, seed=4)


class Loader(TextualInversionLoaderMixin):
    """As much of a diffusers pipeline as learns words."""

    components: dict[str, object] = {}  # noqa: RUF012  (diffusers reads it)
    hf_device_map = None

    def __init__(self, reference: Reference) -> None:
        self.tokenizer = CLIPTokenizer.from_pretrained(reference.folder / "tokenizer")
        self.text_encoder = CLIPTextModel.from_pretrained(reference.folder / "text_encoder").eval()

    def ids(self, prompt: str) -> list[int]:
        """The ids of a prompt alone."""
        return list(self.tokenizer(self.maybe_convert_prompt(prompt, self.tokenizer)).input_ids[1:-1])

    def hidden(self, prompt: str) -> Tensor:
        """The hidden states of a prompt that fits."""
        text = self.maybe_convert_prompt(prompt, self.tokenizer)
        ids = self.tokenizer(text, padding="max_length", max_length=77, return_tensors="pt").input_ids
        with torch.no_grad():
            return self.text_encoder(ids).last_hidden_state


def automatic1111(word: str | None, vectors: Tensor) -> dict[str, object]:
    return {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": torch.nn.Parameter(vectors)},
        "name": word,
        "step": 4999,
        "sd_checkpoint": "7460a6fa",
        "sd_checkpoint_name": "model",
    }


def write_every_style(folder: Path, word: str, vectors: Tensor) -> dict[str, Path]:
    """One embedding in each style of file, as others write them."""
    torch.save({word: vectors}, folder / "learned_embeds.bin")
    torch.save(automatic1111(word, vectors), folder / "automatic.pt")
    return {
        "diffusers": write(folder / "learned_embeds.safetensors", {word: vectors}),
        "diffusers, a pickle": folder / "learned_embeds.bin",
        "automatic1111": folder / "automatic.pt",
        "plain": write(folder / f"{word}.safetensors", {"emb_params": vectors}),
    }


STYLES = ("diffusers", "diffusers, a pickle", "automatic1111", "plain")
PROMPTS = (
    "a photo of <cat-toy>",
    "<cat-toy>",
    "a <cat-toy>, on a table; (<cat-toy>:1.2)",
    "a red<cat-toy>fox",
    "A <CAT-TOY>. a <Cat-Toy>!",
    "<cat-toy><cat-toy>  <cat-toy>",
    "a < cat-toy > is another thing, and so is cat-toy",
)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("style", STYLES)
def test_the_same_hidden_states_as_diffusers(
    style: str, count: int, reference: Reference, model: Model, tmp_path: Path
) -> None:
    path = write_every_style(tmp_path, "<cat-toy>", VECTORS[:count])[style]
    theirs = Loader(reference)
    before = theirs.hidden(PROMPTS[0])
    theirs.load_textual_inversion(str(tmp_path / "learned_embeds.safetensors"), token="<cat-toy>")
    embedding = open_embedding(path)
    assert embedding.word == "<cat-toy>"
    assert torch.equal(embedding.vectors, VECTORS[:count])
    with attach_embedding(model, [embedding]), torch.no_grad():
        # Of several vectors diffusers takes only the first where the word is not written as it was learnt.
        for prompt in PROMPTS if count == 1 else [prompt for prompt in PROMPTS if prompt.islower()]:
            assert model.tokenizer.words(prompt) == theirs.ids(prompt)
            found = encode_prompts([prompt], model.tokenizer, model.text_encoder)
            assert relative_error(found, theirs.hidden(prompt)) <= TOLERANCE
        assert relative_error(found, before) > 0.05


def test_the_same_ids_on_many_prompts(reference: Reference, model: Model) -> None:
    theirs, draw = Loader(reference), random.Random(0)
    words = {"<a>": 1, "my-style": 1, "my-style-2": 2, "ünïcode": 1}
    for word, count in words.items():
        theirs.load_textual_inversion({word: VECTORS[:count]}, token=word)
    signs = ("a", "fox", " ", "  ", ",", "<", "é", "猫", "\n", "1", "'s", "<A>", "ÜNÏCODE")
    with attach_embedding(model, [Embedding(word=word, vectors=VECTORS[:n]) for word, n in words.items()]):
        for _ in range(300):
            prompt = "".join(draw.choices((*words, *signs), k=draw.randint(1, 12)))
            assert model.tokenizer.words(prompt) == theirs.ids(prompt), prompt


def test_upper_case_has_all_the_vectors(model: Model) -> None:
    with attach_embedding(model, [Embedding(word="<cat-toy>", vectors=VECTORS)]):
        assert model.tokenizer.words("a <CAT-Toy>") == model.tokenizer.words("a <cat-toy>")
        assert len(model.tokenizer.words("<CAT-TOY>")) == 3


def test_prompts_over_77_tokens_keep_every_word(model: Model) -> None:
    with attach_embedding(model, [Embedding(word="<cat-toy>", vectors=VECTORS)]):
        prompt = "a fox, <cat-toy>. " * 40
        first = model.text_encoder.config.vocabulary - 3
        ids = [word for piece in pieces(prompt, model.tokenizer) for word in piece]
        assert ids == model.tokenizer.words(prompt)
        assert ids.count(first) == ids.count(first + 1) == ids.count(first + 2) == 40
        with torch.no_grad():
            assert encode_prompts([prompt], model.tokenizer, model.text_encoder).shape[1] > 77


def test_detaching_leaves_no_trace_in_any_order(model: Model) -> None:
    tokenizer, config, table = model.tokenizer, model.text_encoder.config, model.text_encoder.token_embedding
    weight, before = table.weight, table.weight.clone()
    first = attach_embedding(model, [Embedding(word="<cat-toy>", vectors=VECTORS)])
    second = attach_embedding(model, [Embedding(word="<other>", vectors=VECTORS[:1])])
    assert model.text_encoder.config.vocabulary == len(table.weight) == table.num_embeddings == len(before) + 4
    with pytest.raises(BadInput, match="detach its embeddings"):
        model.tokenizer.save(Path("nowhere"))
    first.detach()
    assert model.tokenizer.words("<cat-toy>") == tokenizer.words("<cat-toy>")
    assert model.tokenizer.words("a <other>") == [*tokenizer.words("a"), len(before)]
    assert torch.equal(table.weight, torch.cat([before, VECTORS[:1]]))
    second.detach()
    second.detach()
    assert model.tokenizer is tokenizer
    assert model.text_encoder.config == config
    assert table.weight is weight
    assert torch.equal(table.weight, before)
    assert table.num_embeddings == len(before)


def test_a_replaced_tokenizer_or_table_is_told(model: Model) -> None:
    attached = attach_embedding(model, [Embedding(word="<cat-toy>", vectors=VECTORS)])
    learnt, model.tokenizer = model.tokenizer, model.tokenizer.without
    with pytest.raises(BadInput, match="tokenizer was replaced"):
        attached.detach()
    model.tokenizer = learnt
    table = model.text_encoder.token_embedding
    weight, table.weight = table.weight, torch.nn.Parameter(table.weight.clone())
    with pytest.raises(BadInput, match="weight was replaced"):
        attached.detach()
    table.weight = weight
    attached.detach()
    assert model.tokenizer is learnt.without


def test_half_precision_and_a_change_of_it_while_attached(model: Model) -> None:
    model.text_encoder.bfloat16()
    before = model.text_encoder.token_embedding.weight.clone()
    with attach_embedding(model, [Embedding(word="<cat-toy>", vectors=VECTORS)]):
        assert model.text_encoder.token_embedding.weight.dtype == torch.bfloat16
        assert torch.equal(model.text_encoder.token_embedding.weight[-3:], VECTORS.bfloat16())
        model.text_encoder.float()
    assert model.text_encoder.token_embedding.weight.dtype == torch.float32
    assert torch.equal(model.text_encoder.token_embedding.weight, before.float())


def test_a_word_that_the_model_knows_is_refused(model: Model) -> None:
    known = Embedding(word="fox", vectors=VECTORS, name="The embedding 'fox.pt'")
    with pytest.raises(BadInput, match=r"fox\.pt.*'fox' already.*give it another"):
        attach_embedding(model, [known])
    twice = [Embedding(word=word, vectors=VECTORS) for word in ("<cat-toy>", "<CAT-toy>")]
    with pytest.raises(BadInput, match="already"):
        attach_embedding(model, twice)
    with attach_embedding(model, twice[:1]), pytest.raises(BadInput, match="already"):
        attach_embedding(model, twice[1:])
    for word in ("<|endoftext|>", "<|startoftext|>"):
        with pytest.raises(BadInput, match="already"):
            attach_embedding(model, [Embedding(word=word, vectors=VECTORS)])
    assert model.tokenizer.words("<cat-toy>")[0] < model.text_encoder.config.vocabulary


def test_vectors_of_another_width_are_refused(model: Model) -> None:
    wide = Embedding(word="<wide>", vectors=noise(2, 1024), name="The embedding 'wide.pt'")
    with pytest.raises(BadCheckpoint, match=r"wide\.pt.* 1024 wide; the text encoder's are 24"):
        attach_embedding(model, [wide])
    model.text_encoder = None
    with pytest.raises(BadInput, match="CLIP's tokenizer"):
        attach_embedding(model, [wide])


def test_the_word_is_the_files_or_its_name_or_given(tmp_path: Path) -> None:
    torch.save(automatic1111("my-style", VECTORS), tmp_path / "other.pt")
    assert open_embedding(tmp_path / "other.pt").word == "my-style"
    assert open_embedding(tmp_path / "other.pt", word="<new>").word == "<new>"
    torch.save(automatic1111(None, VECTORS), tmp_path / "unnamed.pt")
    assert open_embedding(tmp_path / "unnamed.pt").word == "unnamed"
    assert open_embedding(write(tmp_path / "plain.safetensors", {"emb_params": VECTORS[0]})).vectors.shape == (1, WIDTH)
    write(tmp_path / "learned_embeds.safetensors", {"<cat-toy>": VECTORS})
    assert open_embedding(tmp_path).word == "<cat-toy>"


@pytest.mark.parametrize(
    ("tree", "complaint"),
    [
        ({"clip_l": VECTORS, "clip_g": VECTORS}, "SDXL"),
        ({"<a>": VECTORS, "<b>": VECTORS}, "2 entries"),
        ({"string_to_param": {"*": VECTORS, "+": VECTORS}, "name": "x"}, "2 entries"),
        ({"string_to_param": {}, "name": "x"}, "0 entries"),
        ({"<a>": "text"}, "no embedding"),
        ([VECTORS], "list"),
        ({"<a>": noise(2, 3, 4)}, r"\(2, 3, 4\)"),
        ({"<a>": VECTORS.int()}, "int32"),
        ({"<a>": noise(0, 4)}, r"\(0, 4\)"),
        ({"unet.conv_in.lora_magnitude_vector.weight": VECTORS}, "DoRA"),
    ],
)
def test_what_is_no_embedding_is_refused(tree: object, complaint: str, tmp_path: Path) -> None:
    torch.save(tree, tmp_path / "file.pt")
    with pytest.raises(BadCheckpoint, match=complaint) as error:
        open_embedding(tmp_path / "file.pt")
    assert "file.pt" in str(error.value)


@pytest.mark.parametrize("word", ["", "  ", "a\0b", "x" * 201])
def test_a_word_must_be_one(word: str) -> None:
    with pytest.raises(BadInput, match="word of an embedding"):
        Embedding(word=word, vectors=VECTORS)


@pytest.mark.parametrize("style", ["diffusers", "automatic1111", "plain"])
@pytest.mark.parametrize("start", STYLES)
def test_from_style_to_style_without_a_bit_lost(start: str, style: str, reference: Reference, tmp_path: Path) -> None:
    embedding = open_embedding(write_every_style(tmp_path, "<cat-toy>", VECTORS.half())[start])
    (tmp_path / "saved").mkdir()
    saved = tmp_path / "saved" / "<cat-toy>.file"
    save_embedding(saved, embedding, style)
    again = open_embedding(saved)
    assert again.word == "<cat-toy>"
    assert again.vectors.dtype == torch.float16
    assert torch.equal(again.vectors, VECTORS.half())
    if style == "automatic1111":
        assert read_tree(saved).keys() == automatic1111("", VECTORS).keys()
        Loader(reference).load_textual_inversion(torch.load(saved))  # as diffusers opens it
    else:
        assert read_file(saved).tensors.keys() == {"emb_params" if style == "plain" else "<cat-toy>"}


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    embedding = Embedding(word="<cat-toy>", vectors=VECTORS)
    with pytest.raises(BadInput, match="name the file '<cat-toy>'"):
        save_embedding(tmp_path / "other.safetensors", embedding, "plain")
    with pytest.raises(BadInput, match="Allowed: automatic1111"):
        save_embedding(tmp_path / "other", embedding, "a1111")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("before", range(70, 78))
def test_a_word_of_several_vectors_is_never_parted(before: int, model: Model) -> None:
    room = model.tokenizer.length - 2
    with attach_embedding(model, [Embedding(word="<cat-toy>", vectors=VECTORS)]):
        vectors = model.tokenizer.words("<cat-toy>")
        runs = pieces(", " * before + "<cat-toy> fox", model.tokenizer)
        assert all(len(run) <= room for run in runs)
        assert sum(run[start : start + 3] == vectors for run in runs for start in range(len(run))) == 1
    with attach_embedding(model, [Embedding(word="<long>", vectors=torch.randn(2 * room + 1, VECTORS.shape[1]))]):
        assert [len(run) for run in pieces("<long>", model.tokenizer)] == [room, room, 1]
