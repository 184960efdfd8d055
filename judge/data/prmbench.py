"""PRMBench (arXiv 2501.03124): solutions of PRM800K test problems with errors written into them by a model.

``error_steps`` lists every wrong step, from 1, [] for none: the first error is the smallest. The classes "redundency"
and "circular" mark steps that are superfluous or circular rather than false, as upstream counts them. The correct
solutions that the errors were written into are a source of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from judge.data.items import Item
from judge.data.load_report import BadRow, LoadReport
from judge.data.source import Row, Source, checked, each_row, parse_row, row_fields
from judge.data.upstream_values import number_list, text_list
from judge.types import NO_ERROR, Record


class ModifiedRow(Row):
    """The fields of a solution with errors."""

    modified_question: str | None = None
    question: str | None = None
    modified_process: list[str] | str
    error_steps: list[int | float | str] | str
    idx: str | int
    classification: str = ""


class OriginalRow(Row):
    """The fields of the correct solution."""

    original_question: str
    original_process: list[str] | str


def read(items: Iterable[Item], report: LoadReport) -> Iterator[Record]:
    """One record a row: the modified solution."""
    return each_row(items, report, _modified)


def _modified(fields: Mapping[str, Any], report: LoadReport) -> Record:
    row = parse_row(ModifiedRow, fields)
    problem = row.modified_question or row.question
    if not problem:
        raise BadRow("no problem", "neither 'modified_question' nor 'question' holds a text")
    steps = text_list(row.modified_process, "modified_process", report)
    wrong = number_list(row.error_steps, "error_steps", report)
    label = report.error_index("error_steps", min(wrong), len(steps)) if wrong else NO_ERROR
    if wrong and max(wrong) > len(steps):
        report.repaired["later wrong steps out of range ignored"] += 1
    name = str(row.idx)
    named = not row.classification or name.startswith(f"{row.classification}_")
    return Record(
        problem=problem,
        steps=tuple(steps),
        label=label,
        source=report.source,
        id=name if named else f"{row.classification}_{name}",
    )


def read_originals(items: Iterable[Item], report: LoadReport) -> Iterator[Record]:
    """The correct solutions, each once."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for item in items:
        report.rows += 1
        try:
            row = parse_row(OriginalRow, row_fields(item))
            steps = tuple(text_list(row.original_process, "original_process", report))
            record = checked(Record(row.original_question, steps, NO_ERROR, source=report.source), report)
        except BadRow as fault:
            report.drop(fault.reason, item.where, fault.detail)
            continue
        if (record.problem, record.steps) in seen:
            report.merged["original solution of an earlier row"] += 1
            continue
        seen.add((record.problem, record.steps))
        yield record


SOURCE: Final = Source(
    name="prmbench",
    description="PRMBench: solutions with errors written into them by a model, JSON lines",
    labels="error_steps, a list, from 1, none: []; the smallest counts",
    index_base=1,
    read=read,
)
ORIGINALS: Final = Source(
    name="prmbench_originals",
    description="PRMBench: the correct solutions that the errors were written into, each once",
    labels="none: every solution is correct",
    index_base=None,
    read=read_originals,
)
