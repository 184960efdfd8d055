"""The original JSON lines of PRM800K: one labelled solution a line, with every alternative that was rated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from judge.data.load_report import BadRow, LoadReport
from judge.data.source import Row, parse_row
from judge.data.step_tree import WRONG, RatedStep, StepTree

_ANSWER: Final = re.compile(r"\s*# Answer\s+(\S.*?)\s*\Z", re.DOTALL)


class Completion(Row):
    """One alternative for a step."""

    text: str
    rating: int | None = None
    flagged: bool | None = None


class LabelledStep(Row):
    """The alternatives for one step, and which one the solution went on with."""

    completions: list[Completion] | None = None
    human_completion: Completion | str | None = None
    chosen_completion: int | None = None


class Label(Row):
    """What people said of one solution."""

    steps: list[LabelledStep]
    finish_reason: str | None = None


class Question(Row):
    """The problem."""

    problem: str
    ground_truth_answer: str | None = None


class SolutionRow(Row):
    """A line of the file."""

    question: Question
    label: Label


def rated_steps(fields: Mapping[str, Any], where: str, tree: StepTree, report: LoadReport) -> Iterator[RatedStep]:
    """The rated steps of a line; counts them as rows, and the unusable ones as dropped."""
    try:
        row = parse_row(SolutionRow, fields)
        if not row.question.problem.strip():
            raise BadRow("no problem", "'question.problem' is empty")
    except BadRow as fault:
        report.rows += 1
        report.drop(fault.reason, where, fault.detail)
        return
    problem = row.question.problem
    if row.question.ground_truth_answer:
        tree.set_answer(problem, row.question.ground_truth_answer.strip())
    previous: tuple[str, ...] = ()
    for number, step in enumerate(row.label.steps, start=1):
        place = f"{where}, step {number}"
        ends = number == len(row.label.steps) and row.label.finish_reason == "solution"
        for index, completion in enumerate(step.completions or []):
            report.rows += 1
            fault_said = _fault(completion)
            if fault_said is not None:
                report.drop(fault_said, place, f"completion {index}")
                continue
            text, answer = split_answer(completion.text)
            solves = ends and index == step.chosen_completion and completion.rating != WRONG
            yield RatedStep(problem, previous, text, completion.rating or 0, place, answer, solves)
        if step.human_completion is not None:
            report.rows += 1
            report.drop("no rating", place, "the step was written by the person who rates")
        following = _chosen(step)
        if following is None:
            return
        previous = (*previous, following)


def split_answer(text: str) -> tuple[str, str | None]:
    r"""A step's text and the final answer that upstream writes below it.

    >>> split_answer("So it is 468.\n\n# Answer\n\n468")
    ('So it is 468.', '468')
    """
    match = _ANSWER.search(text)
    if match is None or not text[: match.start()].strip():
        return text, None
    return text[: match.start()], match.group(1)


def _fault(completion: Completion) -> str | None:
    if completion.rating is None:
        return "no rating"
    if completion.rating not in (-1, 0, 1):
        return "unknown rating"
    if completion.flagged:
        return "flagged by the person who rated"
    return None if completion.text.strip() else "empty step"


def _chosen(step: LabelledStep) -> str | None:
    """The text that the solution goes on with; None where it ends, or goes on with a step rated wrong."""
    human, chosen = step.human_completion, step.chosen_completion
    if chosen is None:
        text = human.text if isinstance(human, Completion) else human
    elif step.completions and 0 <= chosen < len(step.completions):
        text = step.completions[chosen].text
    else:
        text = None
    return split_answer(text)[0] if text and text.strip() else None
