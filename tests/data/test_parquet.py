"""Parquet: pictures inside rows, read when they are needed, in any order."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pyarrow import Table, parquet

from safelight.data.collection import open_collection
from safelight.data.record import BadSample
from safelight.errors import BadInput
from tests.data.shapes import samples


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(Table.from_pylist(rows), file, row_group_size=5)
    return file


def rows(form: str) -> list[dict[str, Any]]:
    forms = {
        "as `datasets` writes it": lambda picture, name: {"bytes": picture, "path": f"{name}.png"},
        "plain bytes": lambda picture, name: picture,
    }
    return [
        {"image": forms[form](picture, name), "text": fields["captions"][0], "concept": fields["concept"]}
        for name, (picture, fields) in samples().items()
    ]


@pytest.mark.parametrize("form", ["as `datasets` writes it", "plain bytes"])
def test_pictures_may_lie_in_the_rows(tmp_path: Path, form: str) -> None:
    found = open_collection(write(tmp_path / "train-0.1.parquet", rows(form)))
    assert [record.captions[0] for record in found] == [row["text"] for row in rows(form)]
    assert len({record.key for record in found}) == 16
    expected = [picture for picture, _ in samples().values()]
    assert [record.read() for record in reversed(found)] == expected[::-1]
    assert found[3].fields == {"text": "a red cross", "concept": "cross"}


def test_a_folder_may_hold_several(tmp_path: Path) -> None:
    both = rows("plain bytes")
    write(tmp_path / "data" / "train-0.parquet", both[:7])
    write(tmp_path / "data" / "train-1.parquet", both[7:])
    found = open_collection(tmp_path)
    assert [record.read() for record in found] == [picture for picture, _ in samples().values()]


def test_a_row_may_only_name_its_picture(tmp_path: Path) -> None:
    content = samples()["red-bar"][0]
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.png").write_bytes(content)
    (tmp_path / "secret.png").write_bytes(content)
    images: list[dict[str, Any]] = [{"bytes": None, "path": path} for path in ("a.png", "../secret.png", "b.png", None)]
    images.append({"bytes": content, "path": None})
    found = open_collection(write(tmp_path / "here" / "list.parquet", [{"image": image} for image in images]))
    assert (found[0].read(), found[4].read()) == (content, content)
    for record, reason in zip(
        found[1:4], ("outside the list's folder", "No such file", "neither bytes nor"), strict=True
    ):
        with pytest.raises(BadSample, match=reason):
            record.picture()


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "a.parquet", rows("plain bytes"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadInput, match=r"a\.parquet' needs pyarrow: pip install 'safelight\[data\]'"):
        open_collection(file)
