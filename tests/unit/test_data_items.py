"""Objects of a file in every form that upstream uses, and complaints about files that hold none."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from judge.data.hub import is_hub_id
from judge.data.items import read_items
from judge.errors import ConfigError, DataError

ROWS = [{"a": 1, "text": "one\u2028line"}, {"a": 2, "text": "é"}]
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
BY_KEY = {"q1": ROWS[:1], "q2": ROWS[1:]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        LINES,
        LINES + "\n\n",
        "\n" + LINES.replace("\n", "\r\n"),
        "\ufeff" + LINES,
        json.dumps(BY_KEY),
        json.dumps(BY_KEY, indent=1),
    ],
    ids=["list", "indented-list", "lines", "blank-lines", "crlf", "bom", "object-of-lists", "indented-object"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_gives_the_same_objects(tmp_path: Path, text: str, packed: bool) -> None:
    path = tmp_path / "data"  # the name says nothing
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    items = list(read_items(str(path)))
    assert [item.value for item in items] == ROWS
    assert [item.where for item in items] == [f"{path}: row 1", f"{path}: row 2"]


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "data.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    assert [item.value for item in read_items(str(path))] == ROWS
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"data\.parquet: is not a Parquet file"):
        list(read_items(str(path)))


def test_one_object_is_one_row(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"steps": ["a"], "labels": []}, indent=1))
    assert [item.value for item in read_items(str(path))] == [{"steps": ["a"], "labels": []}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1, 2", "is not a JSON list"),
        (b"{\n'a': 1}", "line 1 is not JSON"),
        (b'{"a": 1}\n{"a": ', "line 2 is not JSON"),
        (b"\xff\xfe{}", "is not UTF-8 text"),
        (gzip.compress(b"[]" * 100)[:-12], "cannot be read"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{re.escape(str(path))}: {message}"):
        list(read_items(str(path)))


@pytest.mark.parametrize("name", ["none.json", "sub/none", "./a/b", "a/b/c"])
def test_a_missing_file_is_no_hub_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        list(read_items(name))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Qwen/ProcessBench", True),
        ("Qwen/ProcessBench#gsm8k", True),
        ("openai/gsm8k:main#train[:10%]", True),
        ("data/train.jsonl", False),
        ("data/train.json.gz", False),
        ("train", False),
        ("/data/train", False),
        ("a/b/c", False),
    ],
)
def test_what_looks_like_a_hub_data_set(path: str, expected: bool) -> None:
    assert is_hub_id(path) is expected


def test_hub_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The datasets library reads local folders by the same call; a relative one looks like owner/name."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "owner" / "name"
    folder.mkdir(parents=True)
    for split, row in zip(("train", "test"), ROWS, strict=True):
        (folder / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    monkeypatch.chdir(tmp_path)
    from judge.data.hub import hub_rows

    assert list(hub_rows("owner/name#test")) == [ROWS[1]]
    with pytest.raises(ConfigError, match="several splits; write owner/name#SPLIT with one of"):
        list(hub_rows("owner/name"))
    with pytest.raises(DataError, match="neither a file nor a hub data set"):
        list(hub_rows("owner/name#validation"))
