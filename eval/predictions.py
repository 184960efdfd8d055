"""Predictions made elsewhere, and grades of reasons: JSON lines, matched with a benchmark's rows by id.

A prediction is ``{"id": ..., "prediction": ...}``: the 0-based index of the first wrong step, -1 for none, null for an
answer that could not be read. ``step_error_probs`` (a probability for each step) and ``error_steps`` (every step called
wrong, from 0) may follow. Steps are counted as in the benchmark's file, with the blank ones that our loaders leave out
(see `StepMap`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eval.benchmarks.example import Example
from eval.benchmarks.step_map import StepMap
from eval.log import LogRow
from judge.errors import DataError
from judge.records import faults, numbered_lines, parse_object
from judge.types import NO_ERROR, UnscoredReason

logger = logging.getLogger(__name__)


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    id: str | int


class PredictionLine(_Line):
    """One prediction."""

    prediction: Annotated[int, Field(ge=NO_ERROR)] | None
    step_error_probs: list[Annotated[float, Field(ge=0, le=1)]] | None = None
    error_steps: list[Annotated[int, Field(ge=0)]] | None = None


class ReasonLine(_Line):
    """One grade: is the judge's reason for the error that it found right?"""

    reason_correct: bool


LineT = TypeVar("LineT", bound=_Line)
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class Matched(Generic[ValueT]):
    """What was found for the rows."""

    by_id: dict[str, ValueT]
    num_missing: int
    """Rows for which there is nothing."""
    num_unknown: int
    """Lines for ids that no row has."""


def read_lines(path: Path, schema: type[LineT]) -> dict[str, LineT]:
    """The lines of a file by id.

    Raises:
        DataError: naming the line and the field; an id that comes twice.
    """
    found: dict[str, LineT] = {}
    places: dict[str, int] = {}
    for number, text in numbered_lines(path):
        where = f"{path}: line {number}"
        try:
            line = schema.model_validate(parse_object(text, where))
        except ValidationError as error:
            raise DataError(f"{where}: {faults(error)}") from None
        name = str(line.id)
        if places.setdefault(name, number) != number:
            raise DataError(f"{where}: 'id' = {name!r} was already used in line {places[name]}")
        found[name] = line
    if not found:
        raise DataError(f"{path}: the file holds no lines")
    return found


def match(
    lines: Mapping[str, ValueT],
    examples: Sequence[Example],
    where: str,
    *,
    allow_missing: bool,
    allow_unknown: bool,
) -> Matched[ValueT]:
    """Find the row of every line, by its id or by another name that only one row has.

    Args:
        where: the lines' file, for messages.
        allow_missing: rows without a line are left out.
        allow_unknown: lines without a row are left out.

    Raises:
        DataError: missing or unknown ids that are not allowed, two lines for one row, or no match at all.
    """
    names = _names(examples)
    found: dict[str, ValueT] = {}
    unknown: list[str] = []
    for name, line in lines.items():
        target = names.get(name)
        if target is None:
            unknown.append(name)
        elif target in found:
            raise DataError(f"{where}: two lines are for the row '{target}' ('{name}' is another name of it)")
        else:
            found[target] = line
    missing = [example.id for example in examples if example.id not in found]
    if not found:
        raise DataError(f"{where}: no line is for a row of this benchmark; its ids are like '{examples[0].id}'")
    complaints = []
    if missing and not allow_missing:
        complaints.append(f"{_some(missing)} of the benchmark have no line here (--allow-missing leaves them out)")
    if unknown and not allow_unknown:
        complaints.append(f"{_some(unknown)} here are not in the benchmark (--allow-unknown leaves them out)")
    if complaints:
        raise DataError(f"{where}: {'; '.join(complaints)}")
    return Matched(found, len(missing), len(unknown))


def _names(examples: Sequence[Example]) -> dict[str, str]:
    """From every name to the id that it stands for. A name of several rows stands for none."""
    owners: dict[str, set[str]] = {}
    for example in examples:
        for alias in example.aliases:
            owners.setdefault(alias, set()).add(example.id)
    names = {alias: next(iter(ids)) for alias, ids in owners.items() if len(ids) == 1}
    return names | {example.id: example.id for example in examples}


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:3]))
    return f"{len(names)} ids ({shown}{', ...' if len(names) > 3 else ''})"


def prediction_rows(lines: Mapping[str, PredictionLine], examples: Sequence[Example], where: str) -> list[LogRow]:
    """Predictions as rows of a log, in the order of the benchmark.

    An index that is not one of the steps is kept: it is wrong, as in the published scripts.

    Raises:
        DataError: as many probabilities as there are steps are needed, or a wrong step is not one of them.
    """
    rows = [_row(example, lines[example.id], where) for example in examples if example.id in lines]
    beyond = [row.id for row in rows if row.prediction is not None and row.prediction >= row.num_steps]
    if beyond:
        logger.warning(
            "%s: %d predictions name a step that is not there, such as the one for %r; do they count from 1?",
            where,
            len(beyond),
            beyond[0],
        )
    return rows


def _row(example: Example, line: PredictionLine, where: str) -> LogRow:
    """A line as a row of a log; one without an answer says nothing of any step either."""
    assert example.label is not None, "a benchmark labels every row"
    steps, probs, error_steps = example.step_map, line.step_error_probs, line.error_steps
    if probs is not None and len(probs) != steps.total:
        raise DataError(f"{where}: id '{line.id}': {len(probs)} 'step_error_probs' for {_described(steps)}")
    if error_steps and max(error_steps) >= steps.total:
        raise DataError(f"{where}: id '{line.id}': 'error_steps' has {max(error_steps)}, of {_described(steps)} from 0")
    row = LogRow(
        id=example.id,
        label=example.label,
        prediction=None,
        num_steps=len(example.steps),
        subset=example.subset,
        problem=example.cluster,
    )
    said = line.prediction
    if said is None:
        return row.model_copy(update={"reason": UnscoredReason.PARSE_ERROR})
    return row.model_copy(
        update={
            "prediction": NO_ERROR if said == NO_ERROR else steps.index(said),
            "blank_step": steps.is_blank(said),
            "step_error_probs": None if probs is None else steps.values(probs),
            "error_steps": None if error_steps is None else steps.indices(error_steps),
        }
    )


def _described(steps: StepMap) -> str:
    num_blank = steps.total - len(steps.kept)
    return f"{steps.total} steps" + (f" ({num_blank} of them without text)" if num_blank else "")


def refuse_other_rows(rows: Mapping[str, LogRow], examples: Sequence[Example], where: str) -> None:
    """Check that a log was made on these rows.

    Raises:
        DataError: a row that has another label, or another number of steps.
    """
    for example in examples:
        row = rows.get(example.id)
        if row is None:
            continue
        there, here = (row.label, row.num_steps), (example.label, len(example.steps))
        if there != here:
            raise DataError(
                f"{where}: row '{row.id}' has label {there[0]} and {there[1]} steps, in the benchmark's data it has "
                f"label {here[0]} and {here[1]} steps: the log was made on other data"
            )
