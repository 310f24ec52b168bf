"""Byte-pair tokens of CLIP (Radford et al. 2021; Sennrich et al. 2016), on the `tokenizers` library."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from safelight.errors import BadCheckpoint
from safelight.text.framing import FramingTokenizer

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
# Contractions, runs of letters, single digits, runs of anything else that is no space: CLIP's words. The names of the
# special tokens come apart from what stands beside them also where capitals make them no special tokens.
WORDS = Regex(r"<\|(?:start|end)oftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")


class Tokenizer(FramingTokenizer):
    """Prompts to token ids, as the checkpoint's own vocabulary has it."""

    def __init__(self, vocabulary: dict[str, int], merges: Sequence[tuple[str, str]], *, length: int, pad: str) -> None:
        self.merges = list(merges)
        model = models.BPE(
            vocab=vocabulary,
            merges=self.merges,
            unk_token=END,
            end_of_word_suffix=WORD_END,
            continuing_subword_prefix="",
        )
        super().__init__(_pipeline(model), vocabulary, length=length, start=START, end=END, pad=pad, special=())

    @classmethod
    def from_merges(cls, lines: Sequence[str], *, length: int, pad: str) -> Tokenizer:
        """The tokenizer of the lines of merges.txt, numbered as CLIP's.

        First the letters of the 256 bytes, then the same at the end of a word, then each merge, then start and end.
        """
        merges = [_pair(line) for line in lines]
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        names = [*alphabet, *(letter + WORD_END for letter in alphabet), *(first + second for first, second in merges)]
        vocabulary = {name: number for number, name in enumerate([*names, START, END])}
        return cls(vocabulary, merges, length=length, pad=pad)

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
            pre_tokenizers.ByteLevel(add_prefix_space=False),  # parts `<|endoftext|>` into three words again
        ]
    )
    return backend


def _pair(line: str) -> tuple[str, str]:
    first, second = line.split(" ")
    return first, second
