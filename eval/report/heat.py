"""True against found position of the first error, as a table whose cells are shaded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from eval.log import LogRow
from eval.report.folders import JudgeRun
from judge.types import NO_ERROR

LAST: Final = 12
"""Steps from here on share a row and a column."""
BEYOND: Final = LAST + 1
"""Stands for a step that was named, and is not there."""
UNSCORED: Final = "unscored"


@dataclass(frozen=True, slots=True)
class HeatCell:
    """How often a label met an answer."""

    count: int
    share: float
    """Of its row, in [0, 1]."""
    is_right: bool


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One judge's table: a row for each true position, a column for each answer."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[HeatCell, ...]], ...]
    """Position, number of solutions, cells."""


def heat_map(run: JudgeRun) -> HeatMap:
    """The table of a run.

    Only positions that occur, those from step `LAST` on together. "None" stands for no error.
    """
    counted: Counter[tuple[int, int | None]] = Counter()
    for row in run.rows:
        counted[_position(row.label), _found(row)] += 1
    found_at = sorted({found for _, found in counted if found is not None} | {label for label, _ in counted})
    answers: list[int | None] = [*found_at, *([None] if any(found is None for _, found in counted) else [])]
    rows = []
    for label in sorted({label for label, _ in counted}):
        total = sum(count for (true, _), count in counted.items() if true == label)
        cells = tuple(
            HeatCell(counted[label, answer], counted[label, answer] / total, label == answer) for answer in answers
        )
        rows.append((position_name(label), total, cells))
    return HeatMap(run.name, tuple(map(position_name, answers)), tuple(rows))


def position_name(position: int | None) -> str:
    """What stands at the edge of the table.

    >>> position_name(-1), position_name(3), position_name(LAST), position_name(None)
    ('none', '3', '12+', 'unscored')
    """
    if position is None:
        return UNSCORED
    if position == NO_ERROR:
        return "none"
    if position == BEYOND:
        return "not there"
    return f"{position}+" if position == LAST else str(position)


def _found(row: LogRow) -> int | None:
    if row.prediction is None:
        return None
    return BEYOND if row.prediction >= row.num_steps else _position(row.prediction)


def _position(step: int) -> int:
    return min(step, LAST)
