"""Reading rows of JSONL: what is accepted, and what the message says when it is not."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.errors import DataError
from judge.records import parse_row, read_rows, write_records
from judge.types import Record, Solution

GOOD = {"problem": "1+1?", "steps": ["1+1=2", "2+1=4"], "id": "a"}


def write(folder: Path, *rows: object) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_every_field_arrives(tmp_path: Path) -> None:
    row = GOOD | {
        "label": 1,
        "reference_solution": "s",
        "reference_answer": "3",
        "final_answer_correct": False,
        "source": "demo",
        "generator": "unknown fields are left alone",
    }
    [read] = read_rows(write(tmp_path, row))
    assert read.record == Record("1+1?", ("1+1=2", "2+1=4"), 1, "s", "3", False, "demo", "a")
    assert read.solution() == Solution("1+1?", ("1+1=2", "2+1=4"), "s", "3", known_wrong=True)


@pytest.mark.parametrize(
    ("fields", "known_wrong"),
    [
        ({}, False),
        ({"final_answer_correct": False}, True),
        ({"final_answer_correct": True}, False),
        ({"known_wrong": True}, True),
        ({"final_answer_correct": False, "known_wrong": False}, False),
    ],
)
def test_known_wrong(tmp_path: Path, fields: dict[str, bool], known_wrong: bool) -> None:
    [row] = read_rows(write(tmp_path, GOOD | fields))
    assert row.known_wrong is known_wrong


def test_raw_response_is_segmented_and_ids_default_to_the_row_index(tmp_path: Path) -> None:
    response = "First, one and one make two apples.\n\nThen two and one make four apples, I think."
    rows = read_rows(write(tmp_path, {"problem": "?", "response": response}, "", {"problem": "?", "response": ""}))
    assert [row.record.id for row in rows] == ["0", "1"]
    assert rows[0].record.steps == tuple(response.split("\n\n"))
    assert rows[1].record.steps == ()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"steps": ["a"]}, "'problem'"),
        ({"problem": 3, "steps": ["a"]}, "'problem'"),
        ({"problem": "?"}, "'steps' (a list) or 'response' (a text)"),
        ({"problem": "?", "steps": "a"}, "'steps'"),
        ({"problem": "?", "steps": ["a", 1]}, "'steps.1'"),
        (GOOD | {"label": "1"}, "'label'"),
        (GOOD | {"label": 2}, "'label' = 2"),
        (GOOD | {"label": -2}, "'label'"),
        (GOOD | {"final_answer_correct": "no"}, "'final_answer_correct'"),
        (GOOD | {"final_answer_correct": True, "known_wrong": True}, "cannot both be true"),
        ("{not json", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[" + json.dumps(GOOD) + "]", "one object a line"),
        ("[", "one object a line"),
        ("3", "a JSON object is needed"),
    ],
)
def test_bad_row_names_file_line_and_field(tmp_path: Path, row: object, said: str) -> None:
    path = write(tmp_path, GOOD, "", row)
    with pytest.raises(DataError, match=re.escape(f"{path}: line 3: ")) as caught:
        read_rows(path)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500


def test_duplicate_ids_name_both_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 3: 'id' = 'a' was already used in line 1"):
        read_rows(write(tmp_path, GOOD, GOOD | {"id": 7}, GOOD))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_rows(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="no rows"):
        read_rows(write(tmp_path, ""))
    (latin := tmp_path / "latin.jsonl").write_bytes(b'{"problem": "\xe9"}\n')
    with pytest.raises(DataError, match="not UTF-8"):
        read_rows(latin)
    (torn := tmp_path / "torn.jsonl.gz").write_bytes(gzip.compress(json.dumps(GOOD).encode() * 99)[:60])
    with pytest.raises(DataError, match="cannot be read"):
        read_rows(torn)


def test_gzip_and_byte_order_mark(tmp_path: Path) -> None:
    (path := tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()))
    assert read_rows(path)[0].record.id == "a"


def test_gzip_is_told_by_content(tmp_path: Path) -> None:
    (packed := tmp_path / "rows.jsonl").write_bytes(gzip.compress(json.dumps(GOOD).encode()))
    (plain := tmp_path / "rows.jsonl.gz").write_text(json.dumps(GOOD))
    assert [read_rows(path)[0].record.id for path in (packed, plain)] == ["a", "a"]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    st.builds(
        Record,
        problem=TEXT,
        steps=st.lists(TEXT, min_size=2, max_size=4).map(tuple),
        label=st.none() | st.integers(-1, 1),
        reference_solution=st.none() | TEXT,
        reference_answer=st.none() | TEXT,
        final_answer_correct=st.none() | st.booleans(),
        source=TEXT,
        id=TEXT,
    )
)
def test_written_records_are_read_back(tmp_path_factory: pytest.TempPathFactory, record: Record) -> None:
    path = tmp_path_factory.getbasetemp() / "records.jsonl"
    write_records([record], path)
    [row] = read_rows(path)
    assert row.record == record


def test_real_rows(data_dir: Path) -> None:
    with gzip.open(data_dir / "processbench" / "gsm8k.json.gz", "rt") as file:
        for number, row in enumerate(json.load(file)):
            read = parse_row(json.dumps(row), default_id="", where=str(number))
            assert (read.record.id, read.record.label) == (row["id"], row["label"])
            assert read.known_wrong is not row["final_answer_correct"]
