"""``sgpo-judge data`` as a user types it."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

from judge.commands import data
from judge.data.sources import load_source, sources
from judge.errors import ConfigError, DataError
from judge.records import read_rows, write_records
from judge.types import Record

ROWS = [
    {"input": "Sort b a", "steps": ["a", "b", "c"], "target": "a b", "answer": "b a", "mistake_index": 1},
    {"input": "Sort d c", "steps": ["c", "d"], "target": "c d", "answer": "c d", "mistake_index": None},
    {"input": "Sort f e", "steps": ["e"], "target": "e f", "answer": "e f", "mistake_index": 5},
]


def run(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    data.add_parser(parser.add_subparsers(dest="command", required=True))
    return data.main(parser.parse_args(["data", *map(str, words)]))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def counts(printed: str) -> dict[str, str]:
    """The printed table: names, two spaces or more, and numbers."""
    return {name.strip(): number for name, number in re.findall(r"^(.*?) {2,}([\d,]+)$", printed, re.MULTILINE)}


def test_list_names_every_source_and_its_coding(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    printed = capsys.readouterr().out
    for source in sources().values():
        assert f"{source.name}\n    {source.description}\n    labels: {source.labels}\n" in printed


def test_check_counts_everything(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--source", "big_bench_mistake", "--path", rows) == 0
    printed = capsys.readouterr().out
    assert counts(printed) == {
        "rows read": "3",
        "dropped: label out of range": "1",
        "records": "2",
        "with a first error": "1",
        "without an error": "1",
        "problems": "2",
    }
    assert f"first row dropped, label out of range: {rows}: row 3: 'mistake_index' = 5 is out of range" in printed
    assert "0 of 2 problems are evaluation problems" in printed


@pytest.mark.parametrize("form", ["records", "trl"])
def test_convert_and_back(rows: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.jsonl"
    words = ("convert", "--source", "big_bench_mistake", "--path", rows, "--output", output, "--format", form)
    assert run(*words) == 0
    assert f"{output}: 2 rows written; 0 of 2 problems" in capsys.readouterr().out
    records = load_source("big_bench_mistake", str(rows)).records
    back = load_source(form, str(output)).records
    if form == "records":
        assert back == records
        assert [row.record for row in read_rows(output)] == records
    else:
        assert [(r.problem, r.steps, r.label) for r in back] == [
            ("Sort b a", ("a", "b"), 1),
            ("Sort d c", ("c", "d"), -1),
        ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "rows.jsonl"]


def test_an_output_is_not_replaced_unasked(rows: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("precious")
    words = ("convert", "--source", "big_bench_mistake", "--path", rows, "--output", output)
    with pytest.raises(ConfigError, match="exists already; give another name, or --overwrite"):
        run(*words)
    assert output.read_text() == "precious"
    assert run(*words, "--overwrite") == 0
    assert len(output.read_text().splitlines()) == 2
    with pytest.raises(ConfigError, match=r"give a name without \.gz"):
        run(*words[:-1], f"{output}.gz")


def test_a_failed_read_leaves_the_output_alone(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("precious")
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"x": 1}\n')
    with pytest.raises(DataError, match=r"bad\.jsonl: row 1: 'input'"):
        run("convert", "--source", "big_bench_mistake", "--path", bad, "--output", output, "--overwrite")
    assert output.read_text() == "precious"


def test_rows_without_a_label_cannot_be_trl(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_records([Record("P", ("a",), id="1"), Record("Q", ("a",), label=0, id="2")], tmp_path / "mine.jsonl")
    output = tmp_path / "out.jsonl"
    run("convert", "--source", "records", "--path", tmp_path / "mine.jsonl", "--output", output, "--format", "trl")
    printed = capsys.readouterr().out
    assert counts(printed)["not labelled"] == "1"
    assert "1 rows written, 1 without a label left out" in printed
    assert json.loads(output.read_text()) == {"prompt": "Q", "completions": ["a"], "labels": [False]}


def test_evaluation_problems_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = Record("Mine?", ("a",), label=0, source="mine", id="1")
    theirs = Record("Theirs?", ("a",), label=0, source="processbench", id="2")
    write_records([ours, theirs], tmp_path / "mine.jsonl")
    output = tmp_path / "out.jsonl"
    words = ("convert", "--source", "records", "--output", output, "--without-evaluation-problems", "--path")
    run(*words, tmp_path / "mine.jsonl")
    assert "left out: 1 records of evaluation problems" in capsys.readouterr().out
    assert [row.record for row in read_rows(output)] == [ours]
    write_records([theirs], tmp_path / "theirs.jsonl")
    with pytest.raises(ConfigError, match="nothing is left to write"):
        run(*words, tmp_path / "theirs.jsonl", "--overwrite")


def test_fingerprints_of_a_set(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "prints.txt"
    assert run("fingerprints", "--set", f"mine={rows}", "--output", output) == 0
    assert counts(capsys.readouterr().out) == {"mine": "3"}
    lines = output.read_text().splitlines()
    assert lines[1] == "[mine]"
    assert all(len(bytes.fromhex(line)) == 8 for line in lines[2:])
    with pytest.raises(ConfigError, match="write NAME=PATH"):
        run("fingerprints", "--set", "mine", "--output", output)
