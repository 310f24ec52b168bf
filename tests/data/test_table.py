"""Lists: columns by their names, several captions a picture, and everything that a list may not do."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from safelight.data.collection import open_collection
from safelight.data.table import TABLE_SUFFIXES
from safelight.errors import BadInput
from tests.data.shapes import draw, png

RED, EDGES = png(draw("red", "bar")), png(draw("black", "bar"))


def listed(folder: Path, name: str, text: str) -> Path:
    """A list of that text beside one picture and its edges."""
    (folder / "pictures").mkdir(exist_ok=True)
    (folder / "pictures" / "a.png").write_bytes(RED)
    (folder / "pictures" / "a-edges.png").write_bytes(EDGES)
    (folder / name).write_text(text, "utf-8")
    return folder / name


def test_other_columns_are_fields_and_companions(tmp_path: Path) -> None:
    text = '\ufeffimage,text,style,control\npictures/a.png,"a bar, red",photo,pictures/a-edges.png\n'
    (record,) = open_collection(listed(tmp_path, "list.csv", text), {"style": ["photo"]})
    assert (record.key, record.captions, record.fields["style"]) == ("pictures/a", ("a bar, red",), "photo")
    assert (record.read(), record.companion("control").tobytes()) == (RED, draw("black", "bar").tobytes())


def test_lines_about_one_picture_are_one_sample(tmp_path: Path) -> None:
    rows = [{"path": f"{lead}pictures/a.png", "caption": text} for lead, text in (("", "one"), ("./", "two"))]
    (record,) = open_collection(listed(tmp_path, "list.jsonl", "\n".join(map(json.dumps, rows))))
    assert record.captions == ("one", "two")


def test_absolute_names_are_taken_below_the_list(tmp_path: Path) -> None:
    (record,) = open_collection(listed(tmp_path, "list.txt", f"{tmp_path}/pictures/a.png\ta bar\n"))
    assert (record.key, record.read()) == ("pictures/a", RED)


@pytest.mark.parametrize("name", ["../secret.png", "pictures/../../secret.png", "/etc/hostname", ".."])
@pytest.mark.parametrize("column", ["file", "mask"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str, column: str) -> None:
    row = {"file": "pictures/a.png", "text": "a", column: name}
    folder = tmp_path / "here"
    folder.mkdir()
    with pytest.raises(BadInput, match=r"sample 1: '.*' lies outside the list's folder"):
        open_collection(listed(folder, "list.jsonl", json.dumps(row)))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "name,text\na.png,a", "no column names the picture; it has name, text, and may be file_name, file"),
        (
            "a.csv",
            "file,text\na.png,a fox, red",
            "line 2: it has not as many cells as the first line, which is file, text",
        ),
        ("a.csv", "file,text\na.png", "line 2: it has not as many cells"),
        ("a.csv", 'file,text\na.png,"' + "x" * 200_000 + '"', r"cannot be read as a \.csv list: field larger"),
        ("a.csv", "file,text\n,a", "no column names the picture"),
        ("a.jsonl", '{"file": "a.png"}\n{"file"', "line 2: it is not JSON"),
        ("a.jsonl", '["a.png"]', "line 1: it holds list, not a JSON object"),
        ("a.jsonl", '{"file": 3}', "3 names no picture"),
        ("a.jsonl", '{"file": {"bytes": ""}}', "names no picture"),
        ("a.jsonl", '{"file": "a.png", "text": [1]}', "Sample 'a.png' has the caption 1; captions must be text"),
        ("a.jsonl", '{"file": "a' + "\\u0000" + '.png"}', "lies outside"),
        ("a.txt", "a.png a fox", "line 1: 'a.png a fox' is not a name, a tab and a caption"),
        ("a.tsv", "file\ttext\na.png\ta\tb", "line 2: it has not as many cells"),
        ("a.csv", "", "holds no pictures"),
        ("a.parquet", "PAR1 but no more", "is not a readable parquet file"),
    ],
)
def test_bad_lists_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        open_collection(listed(tmp_path, name, text))


@pytest.mark.parametrize("suffix", TABLE_SUFFIXES)
def test_lists_that_are_no_text_are_named(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(b"file\tcaption\n\xff\xfe\t\xff\n")
    with pytest.raises(BadInput, match=rf"a\{suffix}' (cannot be read|is not a readable)"):
        open_collection(tmp_path / f"a{suffix}")


def test_every_form_says_the_same(tmp_path: Path) -> None:
    from pyarrow import Table, parquet

    rows: list[dict[str, Any]] = [{"file": "pictures/a.png", "text": text} for text in ("a fox", "ein Füchs, rot")]
    listed(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    (tmp_path / "a.txt").write_text("".join(f"{row['file']}\t{row['text']}\n" for row in rows), "utf-8")
    (tmp_path / "a.tsv").write_text("file\ttext\n" + (tmp_path / "a.txt").read_text("utf-8"), "utf-8")
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file", "text"])
        writer.writeheader()
        writer.writerows(rows)
    parquet.write_table(Table.from_pylist(rows), tmp_path / "a.parquet")
    for suffix in TABLE_SUFFIXES:
        (record,) = open_collection(tmp_path / f"a{suffix}")
        assert (record.key, record.captions, record.read()) == ("pictures/a", ("a fox", "ein Füchs, rot"), RED)
