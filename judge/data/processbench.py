"""ProcessBench (arXiv 2412.06559): first errors in model solutions of maths problems, marked by people.

One file per subset, a JSON list of objects as upstream publishes them, or the same objects as JSON lines. ``label`` is
the 0-based index of the first wrong step, -1 for none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import Field, field_validator

from judge.data.items import Item
from judge.data.load_report import BadRow, LoadReport
from judge.data.source import Row, Source, each_row, parse_row
from judge.types import NO_ERROR, Record


class ProcessBenchRow(Row):
    """A row of the upstream schema."""

    id: str = Field(min_length=1)
    problem: str
    steps: list[str] = Field(min_length=1)
    label: int
    final_answer_correct: bool | None = None

    @field_validator("id", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """Files of other makers number their rows."""
        return str(value) if type(value) is int else value


def read(items: Iterable[Item], report: LoadReport) -> Iterator[Record]:
    """Records with upstream's ids; an id may come once."""
    places: dict[str, int] = {}

    def record(fields: Mapping[str, Any], report: LoadReport) -> Record:
        row = parse_row(ProcessBenchRow, fields)
        label = NO_ERROR if row.label == NO_ERROR else report.error_index("label", row.label, len(row.steps))
        if places.setdefault(row.id, report.rows) != report.rows:
            raise BadRow(
                "id used twice", f"'id' = {row.id!r} was already used by row {places[row.id]}; ids must be unique"
            )
        return Record(
            problem=row.problem,
            steps=tuple(row.steps),
            label=label,
            final_answer_correct=row.final_answer_correct,
            source=report.source,
            id=row.id,
        )

    return each_row(items, report, record)


SOURCE: Final = Source(
    name="processbench",
    description="ProcessBench: first wrong step of a model's solution (gsm8k, math, olympiadbench, omnimath), JSON",
    labels="label, from 0, none: -1",
    index_base=0,
    read=read,
    evaluation_only=True,
)
