"""Math-Shepherd (arXiv 2312.08935): steps labelled by how often a model gets to the right answer from there.

``input`` is the problem and its steps, " ки" after each step; ``label`` is the same text with + or - in its place. The
first - is the first error; upstream goes on labelling after it. The last step's label says whether the final answer is
right. Labels are machine-made and noisy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from judge.data.items import Item
from judge.data.load_report import BadRow, LoadReport
from judge.data.numbered_steps import without_step_name
from judge.data.source import Row, Source, each_row, parse_row
from judge.types import NO_ERROR, Record

TAG: Final = "ки"
_FIRST_STEP: Final = re.compile(r"\bStep\s*1\s*:", re.IGNORECASE)


class ShepherdRow(Row):
    """A row of the upstream schema."""

    input: str
    label: str


def read(items: Iterable[Item], report: LoadReport) -> Iterator[Record]:
    """One record a row."""
    return each_row(items, report, _record)


def _record(fields: Mapping[str, Any], report: LoadReport) -> Record:
    row = parse_row(ShepherdRow, fields)
    *texts, rest = row.input.split(TAG)
    if not texts:
        raise BadRow("no step tag", f"'input' has no step tag {TAG!r}")
    signs = _signs(texts, row.label)
    problem, first = _split_problem(texts[0], texts[1:], report)
    steps = [without_step_name(text) for text in (first, *texts[1:])]
    complete = not rest.strip()
    if not complete:
        report.repaired["text after the last tag removed"] += 1
    return Record(
        problem=problem,
        steps=tuple(steps),
        label=signs.index("-") if "-" in signs else NO_ERROR,
        final_answer_correct=signs[-1] == "+" if complete else None,
        source=report.source,
    )


def _signs(texts: list[str], label: str) -> list[str]:
    """The sign that stands in ``label`` where a tag stands in ``input``."""
    signs: list[str] = []
    position = 0
    for text in texts:
        position += len(text)
        sign = label[position : position + 1]
        if sign not in ("+", "-"):
            raise BadRow(
                "tags and labels do not match", f"'label' has {sign!r}, no + or -, after step {len(signs) + 1}"
            )
        signs.append(sign)
        position += 1
    return signs


def _split_problem(text: str, later: list[str], report: LoadReport) -> tuple[str, str]:
    """The problem, and the first step, which nothing but its name or the question mark sets apart."""
    match = _FIRST_STEP.search(text)
    if match is not None:
        return text[: match.start()].strip(), text[match.start() :]
    if any(map(_FIRST_STEP.search, later)):
        raise BadRow("label inside the problem", "a tag stands before 'Step 1:'")
    problem, mark, first = text.rpartition("?")
    if not mark or not first.strip():
        raise BadRow("no first step", "'input' has neither 'Step 1:' nor a question mark before the first tag")
    report.repaired["first step found by the question mark"] += 1
    return problem.strip() + mark, first


SOURCE: Final = Source(
    name="math_shepherd",
    description="Math-Shepherd: GSM8K and MATH train problems with labels from roll-outs, JSON lines or hub",
    labels="label, + or - after every step, none: all +",
    index_base=None,
    read=read,
)
