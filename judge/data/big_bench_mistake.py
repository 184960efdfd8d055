"""BIG-Bench-Mistake (arXiv 2311.08516): chain-of-thought traces for five logic tasks, with their first mistake.

JSON lines, one file per task. ``mistake_index`` is 0-based, null for none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from judge.data.items import Item
from judge.data.load_report import LoadReport
from judge.data.source import Row, Source, each_row, parse_row
from judge.data.upstream_values import step_number, text_list
from judge.types import NO_ERROR, Record


class MistakeRow(Row):
    """A row of the upstream schema."""

    input: str
    steps: list[str] | str
    target: str | int | float | None = None
    answer: str | int | float | None = None
    mistake_index: int | float | str | None


def read(items: Iterable[Item], report: LoadReport) -> Iterator[Record]:
    """One record a trace."""
    return each_row(items, report, _record)


def _record(fields: Mapping[str, Any], report: LoadReport) -> Record:
    row = parse_row(MistakeRow, fields)
    steps = text_list(row.steps, "steps", report)
    index = step_number(row.mistake_index, ("null", "none", "nan", ""))
    target, answer = _text(row.target), _text(row.answer)
    return Record(
        problem=row.input,
        steps=tuple(steps),
        label=NO_ERROR if index is None else report.error_index("mistake_index", index, len(steps)),
        reference_answer=target,
        final_answer_correct=None if target is None or answer is None else target == answer,
        source=report.source,
    )


def _text(value: str | int | float | None) -> str | None:
    return None if value is None else str(value).strip()


SOURCE: Final = Source(
    name="big_bench_mistake",
    description="BIG-Bench-Mistake: traces of five logic tasks with their first mistake, JSON lines",
    labels="mistake_index, from 0, none: null",
    index_base=0,
    read=read,
)
