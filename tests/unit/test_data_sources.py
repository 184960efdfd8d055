"""Each source's schema on small rows: index base, "no error" code, ids, repairs, and what is written back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judge.data.sources import load_source
from judge.data.trl import to_row, write_trl
from judge.errors import ConfigError
from judge.records import write_records
from judge.types import Record
from tests.unit.source_rows import GOOD, MISTAKE, PRMBENCH, PROCESSBENCH, RECORD, load


@pytest.mark.parametrize(("source", "row", "expected"), GOOD)
def test_a_row_in_the_upstream_schema(source: str, row: dict[str, Any], expected: Record) -> None:
    [record] = load(source, row | {"some": "other field"}).records
    assert record.id
    if not expected.id:
        assert record.id.startswith(f"{expected.source}-")
        record = Record(**{field: getattr(record, field) for field in Record.__slots__ if field != "id"})
    assert record == expected


def test_a_misspelt_source_gets_the_closest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mr_gsm8k'"):
        load_source("MR-GSM8K", "x.json")


def test_ids_are_unique_and_stay_when_rows_are_added() -> None:
    other = MISTAKE | {"input": "Other"}
    alone = load("big_bench_mistake", other).records[0].id
    ids = [record.id for record in load("big_bench_mistake", MISTAKE, MISTAKE, other).records]
    assert ids[2] == alone
    assert ids[1] == f"{ids[0]}~2"
    assert len(set(ids)) == 3
    mine = [RECORD | {"id": "a~2"}, RECORD | {"id": "a"}, RECORD | {"id": "a"}]
    assert [record.id for record in load("records", *mine).records] == ["a~2", "a", "a~3"]


def test_original_solutions_come_once() -> None:
    loaded = load("prmbench_originals", PRMBENCH, PRMBENCH | {"idx": "1"}, PRMBENCH | {"original_question": "Other"})
    assert [record.problem for record in loaded.records] == ["Q", "Other"]
    assert loaded.report.merged.total() == 1


def test_an_old_label_is_corrected_and_said() -> None:
    old = PROCESSBENCH | {"id": "math-688", "label": 2}
    loaded = load("processbench", old, PROCESSBENCH | {"label": 2})
    assert [record.label for record in loaded.records] == [0, 2]
    assert loaded.report.repaired == {"label of math-688 corrected from 2 to 0, as upstream did": 1}
    assert load("processbench", old | {"label": 1}).records[0].label == 1


def test_records_and_trl_survive_a_round_trip(tmp_path: Path) -> None:
    records = [record for name, row, _ in GOOD for record in load(name, row).records]
    write_records(records, tmp_path / "records.jsonl")
    # The same row comes through several cases; repeated ids were made unique by the loader.
    again = load_source("records", str(tmp_path / "records.jsonl")).records
    assert [record.problem for record in again] == [record.problem for record in records]
    unique = list({record.id: record for record in records}.values())
    write_records(unique, tmp_path / "records.jsonl")
    assert load_source("records", str(tmp_path / "records.jsonl")).records == unique

    labelled = [record for record in unique if record.label is not None]
    assert write_trl(unique, tmp_path / "trl.jsonl") == len(unique) - len(labelled) == 1
    back = load_source("trl", str(tmp_path / "trl.jsonl")).records
    assert [record.label for record in back] == [record.label for record in labelled]
    for cut, whole in zip(back, labelled, strict=True):
        assert cut.steps == whole.steps[: None if whole.label == -1 else whole.label + 1]
    rows = [json.loads(line) for line in (tmp_path / "trl.jsonl").read_text().splitlines()]
    assert all(set(row) == {"prompt", "completions", "labels"} for row in rows)
    wrong = Record("P?", ("a", "b", "c"), label=1)
    assert to_row(wrong) == {"prompt": "P?", "completions": ["a", "b"], "labels": [True, False]}
