"""Parquet lists, as the `datasets` library of Hugging Face writes them: rows, and pictures perhaps inside.

A picture in a row is read when it is needed, with all others of its row group, of which the last few are kept. Going
through the rows in order is quick, and so is drawing them at random where the row groups are small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from safelight.errors import BadInput

KEPT_GROUPS = 4


def parquet_rows(path: Path, pictures: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file; a column of `pictures` that holds bytes gives a function that reads them.

    Such a column is binary, or has the fields `bytes` and `path`. Raises BadInput without
    pyarrow, or for a damaged file.
    """
    file = _opened(path)
    schema = file.schema_arrow
    inside = [name for name in pictures if name in schema.names and _holds_bytes(schema.field(name).type)]
    others = [name for name in schema.names if name not in inside]
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, columns=others).to_pylist() if others else None
        for place in range(file.metadata.row_group(group).num_rows):
            found = {name: partial(_picture, path, group, name, place) for name in inside}
            yield {**(rows[place] if rows is not None else {}), **found}


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_struct(kind)


def _picture(path: Path, group: int, name: str, place: int) -> bytes:
    value = _column(path, group, name)[place].as_py()
    if isinstance(value, dict):
        value = value.get("bytes") or _beside(path, value.get("path"))
    if not isinstance(value, bytes):
        raise ValueError(f"column {name!r} of {str(path)!r} holds no bytes there")
    return value


def _beside(path: Path, name: Any) -> bytes:
    """A picture that a row only names; it lies in or below the list's folder."""
    if not isinstance(name, str):
        raise ValueError("the row holds neither bytes nor a path")
    file = (path.parent / name).resolve()
    if not file.is_relative_to(path.parent.resolve()):
        raise ValueError(f"{name!r} lies outside the list's folder")
    return file.read_bytes()


@lru_cache(KEPT_GROUPS)
def _column(path: Path, group: int, name: str) -> Any:
    return _opened(path).read_row_group(group, columns=[name]).column(name).combine_chunks()


def _opened(path: Path) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise BadInput(f"{str(path)!r} needs pyarrow: pip install 'safelight[data]'.") from error
    try:
        return parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise BadInput(f"{str(path)!r} is not a readable parquet file: {error}.") from error
