"""TRL's stepwise-supervision format: ``prompt, completions, labels``, one boolean a step. Read and written.

A step's label says whether it is right. Labels after the first False are not read: what follows an error is neither
right nor wrong by itself, and sources differ there. (``trl-lib/prm800k`` on the hub writes False for neutral steps too:
read PRM800K itself instead.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from judge.data.items import Item
from judge.data.load_report import BadRow, LoadReport
from judge.data.source import Row, Source, each_row, parse_row
from judge.types import NO_ERROR, Record


class StepwiseRow(Row):
    """A row of TRL's schema."""

    prompt: str
    completions: list[str]
    labels: list[bool | int | None]
    """Booleans, or 1 and 0."""


def read(items: Iterable[Item], report: LoadReport) -> Iterator[Record]:
    """One record a row."""
    return each_row(items, report, _record)


def _record(fields: Mapping[str, Any], report: LoadReport) -> Record:
    row = parse_row(StepwiseRow, fields)
    if len(row.completions) != len(row.labels):
        raise BadRow(
            "labels and completions differ in number",
            f"{len(row.labels)} labels for {len(row.completions)} completions",
        )
    if any(label not in (True, False, None) for label in row.labels):
        raise BadRow("unknown label", f"'labels': true or false is needed, found {row.labels!r:.60}")
    label = row.labels.index(False) if False in row.labels else NO_ERROR
    if None in row.labels[: label if label != NO_ERROR else None]:
        raise BadRow("missing label", "'labels': null before the first wrong step")
    return Record(problem=row.prompt, steps=tuple(row.completions), label=label, source=report.source)


def to_row(record: Record) -> dict[str, object]:
    """A record in TRL's format, **cut after its first error**.

    Nobody labelled the later steps, and TRL takes every label for a target: True there would teach that errors heal,
    False that they spread. So the label survives a round trip, the steps after the error do not.

    >>> to_row(Record(problem="1+1?", steps=("1+1=3", "Done."), label=0))
    {'prompt': '1+1?', 'completions': ['1+1=3'], 'labels': [False]}
    """
    if record.label is None:
        raise ValueError(f"record {record.id!r} has no label")
    if record.label == NO_ERROR:
        return {"prompt": record.problem, "completions": list(record.steps), "labels": [True] * len(record.steps)}
    steps = list(record.steps[: record.label + 1])
    return {"prompt": record.problem, "completions": steps, "labels": [True] * record.label + [False]}


def write_trl(records: Iterable[Record], path: Path) -> int:
    """Write labelled records as JSON lines; gives how many had no label and were left out."""
    num_unlabelled = 0
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            if record.label is None:
                num_unlabelled += 1
            else:
                file.write(json.dumps(to_row(record), ensure_ascii=False) + "\n")
    return num_unlabelled


SOURCE: Final = Source(
    name="trl",
    description="TRL stepwise supervision (prompt, completions, labels), JSON lines, Parquet or hub",
    labels="labels, a boolean for every step, none: all true",
    index_base=None,
    read=read,
)
