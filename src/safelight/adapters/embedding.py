"""Textual inversion: words that a text encoder learnt later, as one or more vectors each (Gal et al. 2022).

Three styles of file: diffusers' ({word: vectors}), AUTOMATIC1111's pickle (string_to_param, with the word's name beside
it) and its safetensors ("emb_params"; the word is the file's name).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from safelight.adapters.refused import refuse_other_kinds
from safelight.errors import BadCheckpoint, BadInput, unknown_name
from safelight.weights.files import beside, write_tensors
from safelight.weights.formats import read_tree

PLAIN = "emb_params"
PARAMETERS = "string_to_param"
DIFFUSERS_FILES = ("learned_embeds.safetensors", "learned_embeds.bin")
LONGEST_WORD = 200  # characters


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedding:
    """A word and its vectors (n, width); `name` is what errors call it."""

    word: str
    vectors: Tensor
    name: str = "The embedding"

    def __post_init__(self) -> None:
        if not self.word.strip() or len(self.word) > LONGEST_WORD or not self.word.isprintable():
            raise BadInput(
                f"The word of an embedding is {self.word!r}; it must be 1 to {LONGEST_WORD} letters or signs."
            )
        if self.vectors.dim() != 2 or not self.vectors.numel() or not self.vectors.is_floating_point():
            raise BadCheckpoint(
                f"{self.name} holds {str(self.vectors.dtype).removeprefix('torch.')} {tuple(self.vectors.shape)}; "
                "it must be floats (vectors, width)."
            )


def open_embedding(path: Path | str, word: str | None = None) -> Embedding:
    """The word in a file, or in a folder with learned_embeds.safetensors or .bin.

    word: what to call it; by default as the file says, or else the file's name. Raises BadCheckpoint for what is no
    embedding or holds several words.
    """
    path = Path(path)
    file = next((path / name for name in DIFFUSERS_FILES if (path / name).is_file()), path)
    tree = read_tree(file)
    if isinstance(tree, dict):
        refuse_other_kinds(file, [name for name in tree if isinstance(name, str)])
    said, vectors = _word_and_vectors(file, tree)
    rows = vectors[None] if vectors.dim() == 1 else vectors
    return Embedding(word=word or said or path.stem, vectors=rows, name=f"The embedding {str(path)!r}")


def save_embedding(path: Path | str, embedding: Embedding, style: str = "diffusers") -> None:
    """Write an embedding in a style: "diffusers", "automatic1111" (a pickle) or "plain" (safetensors).

    A plain file has no room for the word: it is the file's name. Raises BadInput.
    """
    if style not in STYLES:
        raise unknown_name("style", style, STYLES)
    STYLES[style](Path(path), embedding)


def _word_and_vectors(path: Path, tree: Any) -> tuple[str | None, Tensor]:
    """What the file calls the word, None where it does not say, and its vectors."""
    if not isinstance(tree, dict):
        raise BadCheckpoint(f"{str(path)!r} is no embedding: it holds a {type(tree).__name__}, not words.")
    if PARAMETERS in tree:
        inner, name = tree[PARAMETERS], tree.get("name")
        return (name if isinstance(name, str) and name.strip() else None), _only_tensor(path, inner)[1]
    word, vectors = _only_tensor(path, tree)
    return (None if word == PLAIN else word), vectors


def _only_tensor(path: Path, tree: Any) -> tuple[str, Tensor]:
    entries = list(tree.items()) if isinstance(tree, dict) else []
    if len(entries) != 1 or not isinstance(entries[0][0], str) or not isinstance(entries[0][1], Tensor):
        held = ", ".join(sorted(str(name) for name, _ in entries)[:10]) or "nothing"
        raise BadCheckpoint(f"{str(path)!r} is no embedding of one word: it holds {len(entries)} entries ({held}).")
    return entries[0]


def _write_diffusers(path: Path, embedding: Embedding) -> None:
    write_tensors(path, {embedding.word: embedding.vectors})


def _write_plain(path: Path, embedding: Embedding) -> None:
    if path.stem != embedding.word:
        raise BadInput(
            f"A plain embedding is called after its file: name the file {embedding.word!r}, not {path.stem!r}, "
            "or choose another style."
        )
    write_tensors(path, {PLAIN: embedding.vectors})


def _write_automatic1111(path: Path, embedding: Embedding) -> None:
    entry = {
        "string_to_token": {"*": 265},  # the id of "*" in CLIP's vocabulary
        PARAMETERS: {"*": embedding.vectors.detach().cpu().contiguous()},
        "name": embedding.word,
        "step": 0,
        "sd_checkpoint": None,
        "sd_checkpoint_name": None,
    }
    with beside(path) as partial:
        torch.save(entry, partial)


STYLES: dict[str, Callable[[Path, Embedding], None]] = {
    "diffusers": _write_diffusers,
    "automatic1111": _write_automatic1111,
    "plain": _write_plain,
}
