"""The judge's worst verdicts, with the steps of each solution coloured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from eval.log import LogRow
from judge.show import printable
from judge.types import NO_ERROR, Record

NUM_CASES: Final = 20
MAX_CHARACTERS: Final = 1500
"""Shown of one step, problem or critique."""

Colour = Literal["right", "first-error", "after", "plain"]


@dataclass(frozen=True, slots=True)
class Block:
    """One step."""

    number: int
    text: str
    colour: Colour
    """By the label."""
    is_found: bool
    """The judge named this step."""


@dataclass(frozen=True, slots=True)
class Case:
    """One solution and what the judge said of it."""

    id: str
    subset: str
    problem: str
    truth: str
    answer: str
    distance: float
    """Error of the RTS, in [0, 1]."""
    confidence: float | None
    critique: str
    blocks: tuple[Block, ...]


def worst(rows: Sequence[LogRow], count: int = NUM_CASES) -> list[LogRow]:
    """The scored rows with the largest error of the RTS, the surest verdict first among equals; none that is right."""
    wrong = [row for row in rows if row.prediction is not None and row.prediction != row.label]
    return sorted(wrong, key=lambda row: (-rts_error(row), -(row.confidence or 0.0), row.id))[:count]


def rts_error(row: LogRow) -> float:
    """How far the judge's RTS is from the label's, in [0, 1]; a solution without an error has 1.

    Raises:
        ValueError: for an unscored row.
    """
    if row.prediction is None:
        raise ValueError(f"row '{row.id}' is unscored")
    return abs(_rts(row.prediction, row.num_steps) - _rts(row.label, row.num_steps))


def make_case(row: LogRow, record: Record) -> Case:
    """A log's row with its solution."""
    blocks = tuple(
        Block(number, clip(step), _colour(number, row.label), number == row.prediction)
        for number, step in enumerate(record.steps)
    )
    return Case(
        id=clip(row.id),
        subset=clip(row.subset),
        problem=clip(record.problem),
        truth=_said(row.label),
        answer=_said(row.prediction) + (", which is not there" if (row.prediction or 0) >= row.num_steps else ""),
        distance=rts_error(row),
        confidence=row.confidence,
        critique=clip(row.critique or ""),
        blocks=blocks,
    )


def cases(rows: Sequence[LogRow], records: Mapping[str, Record]) -> list[Case]:
    """The worst rows for which there is a solution of as many steps."""
    return [
        make_case(row, record)
        for row in worst(rows)
        if (record := records.get(row.id)) is not None and len(record.steps) == row.num_steps
    ]


def clip(text: str) -> str:
    """The text without blank edges and control characters, cut where it is too long to read."""
    text = text.strip().replace("\t", " ").replace("\r\n", "\n")
    if len(text) > MAX_CHARACTERS:
        text = f"{text[:MAX_CHARACTERS]} … ({len(text) - MAX_CHARACTERS:,} characters are not shown)"
    return printable(text)


def _rts(step: int, num_steps: int) -> float:
    return 1.0 if step == NO_ERROR else min(step / num_steps, 1.0)


def _colour(number: int, label: int) -> Colour:
    if label == NO_ERROR or number < label:
        return "right"
    return "first-error" if number == label else "after"


def _said(step: int | None) -> str:
    return "no error" if step == NO_ERROR else f"step {step}"
