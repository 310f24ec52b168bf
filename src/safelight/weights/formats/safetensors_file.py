"""Safetensors files: a length, a JSON header, and the numbers of all tensors with nothing between them.

The header is believed only where it adds up: it is bounded before it is parsed, and every range that it gives is
checked against its tensor's shape, against the other ranges and against the file.
Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from safelight.weights.formats.faults import Damaged, quoted
from safelight.weights.formats.mapped import MappedFile

LARGEST_HEADER = 16 * 2**20  # bytes; that of Stable Diffusion with all its averages is 0.3 MB long
MOST_TENSORS = 50_000
MOST_DIMENSIONS = 32
METADATA = "__metadata__"

NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E8M0": "float8_e8m0fnu",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "C64": "complex64",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
}
DTYPES: dict[str, torch.dtype] = {code: getattr(torch, name) for code, name in NAMES.items() if hasattr(torch, name)}


@dataclass(frozen=True)
class Entry:
    """One tensor of a header; start and end in bytes from the beginning of the data."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    end: int


def read_safetensors(file: MappedFile) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors, mapped, and the metadata; raises Damaged."""
    header, data = _header(file)
    metadata = _metadata(header.pop(METADATA, {}))
    if len(header) > MOST_TENSORS:
        raise Damaged(f"it names {len(header)} tensors; allowed: {MOST_TENSORS}")
    entries = [_entry(name, fields) for name, fields in header.items()]
    _check_ranges(entries, file.size - data)
    tensors = {
        entry.name: file.tensor(entry.dtype, data + entry.start, data + entry.end).view(entry.shape)
        for entry in entries
    }
    return tensors, metadata


def _header(file: MappedFile) -> tuple[dict[str, Any], int]:
    """The JSON object, and the byte at which the data begins."""
    length = int.from_bytes(file.bytes[:8], "little")
    if length > file.size - 8:
        raise Damaged(f"its header should be {length} bytes long, and the file is {file.size} bytes long")
    if length > LARGEST_HEADER:
        raise Damaged(f"its header is {length} bytes long; allowed: {LARGEST_HEADER}")
    text = file.bytes[8 : 8 + length]
    # Twice: texts in the metadata may hold braces of their own.
    if (objects := text.count(b"{")) > 2 * MOST_TENSORS:
        raise Damaged(f"its header opens {objects} objects; allowed: {MOST_TENSORS} tensors")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"its header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise Damaged(f"its header is a JSON {type(header).__name__}; it must be an object")
    return header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Damaged(f"its header has {quoted(name)} twice")
        found[name] = value
    return found


def _no_constant(text: str) -> Any:
    raise Damaged(f"its header holds {text}")


def _metadata(values: object) -> dict[str, str]:
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise Damaged(f"its {METADATA} is no table of texts")
    return values


def _entry(name: str, fields: object) -> Entry:
    if not isinstance(fields, Mapping) or fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise Damaged(f"{quoted(name)} must have exactly a dtype, a shape and data_offsets")
    code, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise Damaged(f"{quoted(name)} is of dtype {quoted(str(code))}; known: {', '.join(DTYPES)}")
    if not _whole_numbers(shape) or len(shape) > MOST_DIMENSIONS:
        raise Damaged(f"{quoted(name)} has a shape that is no list of whole numbers below 2^63")
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise Damaged(f"{quoted(name)} has data_offsets that are no range")
    dtype, needed = DTYPES[code], math.prod(shape) * DTYPES[code].itemsize
    if needed != offsets[1] - offsets[0]:
        raise Damaged(f"{quoted(name)} needs {needed} bytes for {code} {shape}, and has {offsets[1] - offsets[0]}")
    return Entry(name, dtype, tuple(shape), offsets[0], offsets[1])


def _whole_numbers(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _check_ranges(entries: list[Entry], available: int) -> None:
    """Raise Damaged unless the ranges follow each other from the first byte of the data to its last."""
    reached, before = 0, "the header"
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.end)):
        if entry.start < reached:
            raise Damaged(f"{quoted(entry.name)} overlaps {before} by {reached - entry.start} bytes")
        if entry.start > reached:
            raise Damaged(f"{entry.start - reached} bytes before {quoted(entry.name)} belong to no tensor")
        if entry.end > available:
            raise Damaged(
                f"it is cut short: the data of {quoted(entry.name)} end at byte {entry.end}, the file's at {available}"
            )
        reached, before = entry.end, quoted(entry.name)
    if reached < available:
        raise Damaged(f"{available - reached} bytes after {before} belong to no tensor")
