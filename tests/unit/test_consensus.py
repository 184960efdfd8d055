"""Keeping the rows that two sources agree on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from judge.commands import label
from judge.data.labels.consensus import consensus
from judge.errors import ConfigError, DataError
from judge.records import InputRow, read_rows, write_records
from judge.types import Record, Unscored, UnscoredReason, Verdict
from judge.verdict_file import format_line

LABELS_A = {"agree": 1, "none": -1, "index": 0, "error": 2, "missed": -1, "open": None, "unscored": 1, "a-only": 0}
LABELS_B = {"none": -1, "agree": 1, "index": 2, "error": -1, "missed": 1, "open": 1, "unscored": None, "b-only": 0}
COUNTS = {
    "agreed_on_index": 1,
    "agreed_on_no_error": 1,
    "disagreed_on_index": 1,
    "disagreed_on_error": 2,
    "unlabelled": 2,
    "only_in_a": 1,
    "only_in_b": 1,
}


def records(labels: Mapping[str, int | None], path: Path, source: str = "") -> Path:
    write_records([row(name, label, source) for name, label in labels.items()], path)
    return path


def row(name: str, label: int | None, source: str = "") -> Record:
    return Record(name, ("one", "two", "three"), label=label, source=source, id=name)


def verdicts(labels: Mapping[str, int | None], path: Path) -> Path:
    lines = []
    for name, found in labels.items():
        result: Verdict | Unscored = Verdict(None if found == -1 else found, "j")
        if found is None:
            result = Unscored(UnscoredReason.NO_EVIDENCE, "nothing", "j")
        lines.append(format_line(InputRow(row(name, None), known_wrong=False), result))
    path.write_text("".join(lines))
    return path


@pytest.mark.parametrize("kinds", ["records-records", "records-verdicts", "verdicts-records"])
def test_rows_are_kept_where_both_name_the_same_step(kinds: str, tmp_path: Path) -> None:
    make = {"records": records, "verdicts": verdicts}
    first, second = kinds.split("-")
    a = make[first](LABELS_A, tmp_path / "a.jsonl")
    b = make[second](LABELS_B, tmp_path / "b.jsonl")
    kept, report = consensus(a, b)
    assert [(record.id, record.label, record.steps) for record in kept] == [
        ("agree", 1, ("one", "two", "three")),
        ("none", -1, ("one", "two", "three")),
    ]
    assert asdict(report) == COUNTS
    assert report.num_kept == 2
    assert sum(COUNTS.values()) == len(LABELS_A.keys() | LABELS_B.keys())


def test_the_records_come_from_the_first_file(tmp_path: Path) -> None:
    a, b = records({"x": 1}, tmp_path / "a", "here"), records({"x": 1}, tmp_path / "b", "there")
    assert [record.source for record in consensus(a, b)[0]] == ["here"]


def test_two_files_of_verdicts_are_refused(tmp_path: Path) -> None:
    a, b = verdicts({"x": 1}, tmp_path / "a"), verdicts({"x": 1}, tmp_path / "b")
    with pytest.raises(DataError, match="both files of verdicts"):
        consensus(a, b)


@pytest.mark.parametrize("steps", [("one", "two"), ("one", "two", "3")])
def test_rows_with_other_steps_are_refused(steps: tuple[str, ...], tmp_path: Path) -> None:
    a, b = records({"x": 1}, tmp_path / "a"), tmp_path / "b"
    write_records([Record("x", steps, label=1, id="x")], b)
    with pytest.raises(DataError, match="row 'x' has another problem or other steps"):
        consensus(a, b)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        ("hello\n", "line 1: not valid JSON"),
        ('{"judge_id": "j"}\n', "not a verdict"),
        ("{}\n", "problem"),
    ],
)
def test_bad_files_are_named(text: str, said: str, tmp_path: Path) -> None:
    a, b = records({"x": 1}, tmp_path / "a"), tmp_path / "bad.jsonl"
    b.write_text(text)
    with pytest.raises(DataError, match=rf"bad\.jsonl.*{said}"):
        consensus(a, b)


def command(*args: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    label.add_parser(parser.add_subparsers())
    return parser.parse_args(["label", *args])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = records(LABELS_A, tmp_path / "a.jsonl"), verdicts(LABELS_B, tmp_path / "b.jsonl")
    out = tmp_path / "new" / "kept.jsonl"
    args = ["consensus", "--a", str(a), "--b", str(b), "--output", str(out)]
    assert label.main(command(*args)) == 0
    said = capsys.readouterr().out
    assert "2 rows kept (1 agreed on the step, 1 on no error)" in said
    assert "1 other step, 2 error or not, 2 unlabelled or unscored, 1 only in --a, 1 only in --b" in said
    assert [row.record.id for row in read_rows(out)] == ["agree", "none"]
    out.write_text("mine")
    with pytest.raises(ConfigError, match="--overwrite"):
        label.main(command(*args))
    assert out.read_text() == "mine"
    assert label.main(command(*args, "--overwrite")) == 0
    assert len(out.read_text().splitlines()) == 2
    assert json.loads(out.read_text().splitlines()[0])["label"] == 1


def test_verdicts_on_another_problem_are_refused(tmp_path: Path) -> None:
    """Rows without an id are numbered, so that equal ids are the normal case."""
    row = {"problem": "What is X?", "steps": ["a", "b"], "label": 1}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "b.jsonl").write_text(json.dumps({**row, "problem": "Entirely other Y?"}) + "\n")
    judged = InputRow(Record("Entirely other Y?", ("a", "b"), id="0"), known_wrong=False)
    (tmp_path / "v.jsonl").write_text(format_line(judged, Verdict(1, "rules@2")))
    for other in ("b.jsonl", "v.jsonl"):
        with pytest.raises(DataError, match="row '0' has another problem"):
            consensus(tmp_path / "a.jsonl", tmp_path / other)
    same = InputRow(Record("What is X?", ("a", "b"), id="0"), known_wrong=True)
    (tmp_path / "w.jsonl").write_text(format_line(same, Verdict(1, "rules@2")))
    assert consensus(tmp_path / "a.jsonl", tmp_path / "w.jsonl")[1].agreed_on_index == 1
