"""What is known of a picture beside its pixels: captions and fields, from text files, JSON, and rows of tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from safelight.errors import BadInput

FIELD_SUFFIXES = (".txt", ".json")
CAPTION_FIELDS = ("captions", "caption", "text")  # the first of them that says something counts
LARGEST_FIELDS = 2**20  # bytes of one sample's captions and fields


def parse(where: str, size: int, read: Callable[[], bytes]) -> dict[str, Any]:
    """The fields of one .txt file (a caption a line) or .json file (an object); raises BadInput that names it."""
    if size > LARGEST_FIELDS:
        raise BadInput(f"{where!r} has {size} bytes; captions and fields of one sample may have {LARGEST_FIELDS}.")
    try:
        text = read().decode("utf-8-sig")
        fields = {"captions": text.splitlines()} if where.lower().endswith(".txt") else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{where!r} cannot be read as UTF-8 text or as JSON: {error}.") from error
    if not isinstance(fields, dict):
        raise BadInput(f"{where!r} holds {type(fields).__name__}; captions come as a JSON object or as lines of text.")
    return fields


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a sample that are told in two places; the captions of either count, in any order."""
    captions = [*written(one), *written(other)]
    return {**one, **other, "captions": captions} if captions else {**one, **other}


def written(fields: Mapping[str, Any]) -> list[Any]:
    """The captions as somebody wrote them: perhaps empty, repeated, or no text at all."""
    captions: Any = next((fields[name] for name in CAPTION_FIELDS if fields.get(name)), [])
    return captions if isinstance(captions, list) else [captions]


def captions_of(key: str, fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The captions that say something, each once; raises BadInput where one is not text."""
    captions = written(fields)
    for caption in captions:
        if not isinstance(caption, str):
            raise BadInput(f"Sample {key!r} has the caption {caption!r}; captions must be text.")
    return tuple(dict.fromkeys(caption.strip() for caption in captions if caption.strip()))
