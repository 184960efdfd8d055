"""Labels that count from another base than the source, and the sums of a report."""

from __future__ import annotations

import logging

import pytest

from judge.data.items import Item
from judge.data.source import Loaded, read_records
from judge.data.sources import get_source
from judge.errors import DataError


def mistakes(*labels: int) -> list[dict[str, object]]:
    return [{"input": f"Q{n}", "steps": ["a", "b", "c"], "mistake_index": label} for n, label in enumerate(labels)]


def bench(*labels: int) -> list[dict[str, object]]:
    return [
        {"modified_question": f"Q{n}", "modified_process": ["a", "b", "c"], "error_steps": [label], "idx": str(n)}
        for n, label in enumerate(labels)
    ]


def load(source: str, rows: list[dict[str, object]]) -> Loaded:
    return read_records(get_source(source), [Item(f"f: row {n}", row) for n, row in enumerate(rows, 1)], "f")


@pytest.mark.parametrize(
    ("source", "rows", "message"),
    [
        ("big_bench_mistake", mistakes(*[1, 2, 3] * 10), "10 of 30 error labels equal the number.*counts from 1"),
        ("prmbench", bench(*[0, 1, 2] * 10), r"10 of 30 error labels are 0.*this file counts from 0"),
        (
            "records",
            [{"problem": f"Q{n}", "steps": ["a", "b"], "label": 1 + n % 2} for n in range(40)],
            r"20 of 40 error labels equal the number of steps.*this file counts from 1",
        ),
    ],
)
def test_a_file_that_counts_from_the_other_base_is_refused(
    source: str, rows: list[dict[str, object]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(source, rows)


@pytest.mark.parametrize(
    ("source", "rows", "num_bad"),
    [
        ("big_bench_mistake", mistakes(*[0, 1, 2] * 10, 3), 1),
        ("big_bench_mistake", mistakes(*[0, 3, 3] * 10), 20),  # both bases at once
        ("prmbench", bench(*[1, 2, 3] * 10, 0, 0), 2),
        ("prmbench", bench(1, 0), 1),  # too few labels to say
    ],
)
def test_a_mixed_base_is_said(
    source: str, rows: list[dict[str, object]], num_bad: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        report = load(source, rows).report
    assert report.dropped == {"label out of range": num_bad}
    assert "some rows may count from" in report.warnings[0]
    assert report.warnings[0] in caplog.text


def test_a_clean_file_is_not_suspected() -> None:
    assert load("big_bench_mistake", mistakes(*[0, 1, 2] * 10)).report.warnings == []
    assert load("prmbench", bench(*[1, 2, 3] * 10)).report.warnings == []


def test_a_mostly_broken_file_warns_and_adds_up() -> None:
    rows = [*mistakes(0, 1), *[{"input": "Q"}] * 3]
    report = load("big_bench_mistake", rows).report
    assert report.warnings == ["f: only 2 of 5 rows are usable"]
    assert report.to_dict()["dropped"] == {"wrong schema: 'steps'": 3}
    assert report.rows == report.kept + report.dropped.total() + report.merged.total()
