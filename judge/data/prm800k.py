"""PRM800K (arXiv 2305.20050): steps of model solutions to MATH problems, rated by people.

Read in two forms: one row a rated step (``instruction, responses, next_response, rating``; Parquet of phase 1), and the
original JSON lines of both phases, one line a labelled solution with the alternatives that were rated at each step. The
rating is -1 wrong, 0 neutral, 1 good: -1 is an error, 0 and 1 are right. It is the last step of a record that is wrong;
the steps before were chosen or written by people and count as right. Rows are rated steps, not solutions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from judge.data.items import Item
from judge.data.load_report import BadRow, LoadReport
from judge.data.prm800k_original import rated_steps
from judge.data.source import Row, Source, parse_row, row_fields
from judge.data.step_tree import RatedStep, StepTree
from judge.data.upstream_values import text_list
from judge.types import Record


class StepRow(Row):
    """A row of the one-step-a-row form."""

    instruction: str
    responses: list[str] | str
    next_response: str | None
    rating: float | int | None
    answer: str | None = None
    is_solution: bool | None = None


def read(items: Iterable[Item], report: LoadReport) -> Iterator[Record]:
    """Records ending in a wrong step, and the longest chains of right ones; repeated solutions once."""
    tree = StepTree()
    for item in items:
        try:
            fields = row_fields(item)
        except BadRow as fault:
            report.rows += 1
            report.drop(fault.reason, item.where, fault.detail)
            continue
        if "question" in fields and "label" in fields:
            for rated in rated_steps(fields, item.where, tree, report):
                tree.add(rated)
            continue
        report.rows += 1
        try:
            tree.add(_rated_step(fields, item.where, tree, report))
        except BadRow as fault:
            report.drop(fault.reason, item.where, fault.detail)
    yield from tree.records(report)


def _rated_step(fields: Mapping[str, Any], where: str, tree: StepTree, report: LoadReport) -> RatedStep:
    row = parse_row(StepRow, fields)
    previous = tuple(text_list(row.responses, "responses", report))
    rating = row.rating
    if rating is None or math.isnan(rating):
        raise BadRow("no rating", "'rating' is empty")
    if rating not in (-1, 0, 1):
        raise BadRow("unknown rating", f"'rating' = {rating}: -1, 0 or 1 is needed")
    if not row.instruction.strip():
        raise BadRow("no problem", "'instruction' is empty")
    if not row.next_response or not all(step.strip() for step in (*previous, row.next_response)):
        raise BadRow("empty step", "'responses' or 'next_response' has a step without text")
    answer = (row.answer or "").strip() or None
    solves = bool(row.is_solution) and rating != -1
    if solves and answer:
        tree.set_answer(row.instruction, answer)
    return RatedStep(row.instruction, previous, row.next_response, int(rating), where, answer, solves)


SOURCE: Final = Source(
    name="prm800k",
    description="PRM800K: human ratings of steps for MATH problems; rows of one step (Parquet) or original JSON lines",
    labels="rating of the last step, -1: it is the first error; none: 0 or 1",
    index_base=None,
    read=read,
)
