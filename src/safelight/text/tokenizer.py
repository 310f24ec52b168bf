"""Byte-pair tokens of CLIP (Radford et al. 2021; Sennrich et al. 2016), on the `tokenizers` library."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend
from torch import Tensor

from safelight.errors import BadCheckpoint, BadInput

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
# Contractions, runs of letters, single digits, runs of anything else that is no space: CLIP's words.
WORDS = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")


@dataclass(frozen=True)
class Tokens:
    """Token ids of several prompts, cut or padded to one length.

    ids: (b, n) int64. end: (b,) int64, the position of each prompt's end token.
    """

    ids: Tensor
    end: Tensor


class Tokenizer:
    """Prompts to token ids, as the checkpoint's own vocabulary has it."""

    def __init__(self, vocabulary: dict[str, int], merges: Sequence[tuple[str, str]], *, length: int, pad: str) -> None:
        for token in (START, END, pad):
            if token not in vocabulary:
                raise BadCheckpoint(f"The vocabulary of {len(vocabulary)} tokens lacks {token!r}.")
        self.vocabulary = vocabulary
        self.merges = list(merges)
        self.length = length
        self.pad = pad
        self.start_id, self.end_id, self.pad_id = vocabulary[START], vocabulary[END], vocabulary[pad]
        model = models.BPE(
            vocab=vocabulary,
            merges=self.merges,
            unk_token=END,
            end_of_word_suffix=WORD_END,
            continuing_subword_prefix="",
        )
        self.backend = _pipeline(model)

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Read vocab.json and merges.txt, or tokenizer.json, from a checkpoint's tokenizer folder.

        Raises BadCheckpoint.
        """
        try:
            vocabulary, merges = _read_model(folder)
            settings_file = folder / "tokenizer_config.json"
            settings = json.loads(settings_file.read_text("utf-8")) if settings_file.exists() else {}
            pad = settings.get("pad_token") or END
            length = int(settings.get("model_max_length", 77))
            if length < 2:
                raise BadCheckpoint(f"model_max_length is {length}; it must be at least 2")
            return cls(
                vocabulary, merges, length=min(length, 1024), pad=pad["content"] if isinstance(pad, dict) else pad
            )
        except Exception as error:  # the backend raises Exception itself, for merges that the vocabulary lacks
            raise BadCheckpoint(f"The tokenizer in {str(folder)!r} cannot be read: {error}.") from error

    @classmethod
    def train(cls, texts: Iterable[str], *, size: int, length: int) -> Tokenizer:
        """Learn a vocabulary of at most `size` tokens from captions; every byte stays sayable.

        The same captions give the same vocabulary: letters at the end of a word are named beforehand, for the backend
        would number them in the order of a hash table, and break ties between merges by those numbers.
        """
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        backend = _pipeline(models.BPE(end_of_word_suffix=WORD_END))
        trainer = trainers.BpeTrainer(
            vocab_size=size - 2,
            initial_alphabet=alphabet,
            special_tokens=[letter + WORD_END for letter in alphabet],
            end_of_word_suffix=WORD_END,
            min_frequency=2,
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        learnt = json.loads(backend.to_str())["model"]
        names = [symbol for letter in alphabet for symbol in (letter, letter + WORD_END)]
        names += [name for name in sorted(learnt["vocab"], key=learnt["vocab"].get) if name not in set(names)]
        vocabulary = {name: number for number, name in enumerate([*names, START, END])}
        merges = [_pair(merge) if isinstance(merge, str) else tuple(merge) for merge in learnt["merges"]]
        return cls(vocabulary, merges, length=length, pad=END)

    def save(self, folder: Path) -> None:
        """Write vocab.json, merges.txt and tokenizer_config.json, which transformers' CLIPTokenizer opens."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "vocab.json").write_text(json.dumps(self.vocabulary, ensure_ascii=False), "utf-8")
        lines = ["#version: 0.2", *(" ".join(pair) for pair in self.merges)]
        (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
        settings = {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": self.length,
            "bos_token": START,
            "eos_token": END,
            "unk_token": END,
            "pad_token": self.pad,
            "do_lower_case": True,
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")

    def words(self, text: str) -> list[int]:
        """The ids of a text alone: no start, no end, no limit."""
        if not isinstance(text, str):
            raise BadInput(f"A prompt must be text, got {type(text).__name__}.")
        return list(self.backend.encode(text, add_special_tokens=False).ids)

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


def _read_model(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The vocabulary and the merges, from two files or from one."""
    vocabulary_file, merges_file, one_file = folder / "vocab.json", folder / "merges.txt", folder / "tokenizer.json"
    if vocabulary_file.exists() and merges_file.exists():
        vocabulary = json.loads(vocabulary_file.read_text("utf-8"))
        lines = merges_file.read_text("utf-8").splitlines()
        return vocabulary, [_pair(line) for line in lines if line and not line.startswith("#version")]
    if one_file.exists():
        model = json.loads(one_file.read_text("utf-8"))["model"]
        return model["vocab"], [_pair(merge) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    raise BadCheckpoint("it holds neither vocab.json and merges.txt nor tokenizer.json")


def _pipeline(model: models.Model) -> Backend:
    """Lower-cased, spaces folded, split into words, every word as bytes: how CLIP reads text."""
    backend = Backend(model)
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(WORDS, "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return backend


def _pair(line: str) -> tuple[str, str]:
    first, second = line.split(" ")
    return first, second
