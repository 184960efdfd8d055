"""Steps that were rated one at a time, put together to solutions (PRM800K).

The rated steps of a problem form a tree: steps that follow the same steps are children of one node. A step rated wrong
ends a record whose first error is its last step; a chain of right steps is a record unless a longer one holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from judge.data.load_report import LoadReport
from judge.types import NO_ERROR, Record

WRONG: Final = -1


@dataclass(frozen=True, slots=True)
class RatedStep:
    """One step that a person rated, after steps that were taken to be right."""

    problem: str
    previous: tuple[str, ...]
    step: str
    rating: int
    """-1 wrong; 0 (neutral) and 1 (good) are right."""
    where: str
    """Its place, for messages."""
    answer: str | None = None
    """The final answer that the step gives, if any."""
    solves: bool = False
    """True when a person found the solution that ends here to be right."""


@dataclass(slots=True)
class _Node:
    problem: str
    parent: _Node | None
    """None for the problem itself, before any step."""
    step: str = ""
    where: str = ""
    num_wrong: int = 0
    num_right: int = 0
    answer: str | None = None
    solves: bool = False
    after_error: bool = False
    usable: bool = False
    leads_on: bool = False
    """True when a usable step lies below."""

    def steps(self) -> tuple[str, ...]:
        """From the first step to this one."""
        steps: list[str] = []
        node: _Node | None = self
        while node is not None and node.parent is not None:
            steps.append(node.step)
            node = node.parent
        return tuple(reversed(steps))


class StepTree:
    """Collects rated steps, then gives records."""

    def __init__(self) -> None:
        self._nodes: list[_Node] = []
        """Parents before their children."""
        self._children: dict[tuple[int, str], _Node] = {}
        self._roots: dict[str, _Node] = {}
        self._answers: dict[str, str] = {}

    def set_answer(self, problem: str, answer: str) -> None:
        """Tell the problem's right final answer."""
        self._answers.setdefault(problem, answer)

    def add(self, rated: RatedStep) -> None:
        """Add one rating of a step; the same step may be rated several times."""
        node = self._roots.setdefault(rated.problem, _Node(rated.problem, None))
        for step in (*rated.previous, rated.step):
            node = self._child(node, step)
        node.where = node.where or rated.where
        node.num_wrong += rated.rating == WRONG
        node.num_right += rated.rating != WRONG
        node.answer = node.answer or rated.answer
        node.solves = node.solves or rated.solves

    def records(self, report: LoadReport) -> Iterator[Record]:
        """The records, ordered as their last steps came. Ratings that do not end one are counted."""
        for node in self._nodes:
            self._check(node, report)
        for node in reversed(self._nodes):
            if node.parent is not None and (node.usable or node.leads_on):
                node.parent.leads_on = True
        for node in self._nodes:
            if node.usable:
                repeated = node.num_wrong + node.num_right - 1
                if repeated:
                    report.merged["step rated again"] += repeated
                if node.leads_on and not self._is_complete(node):
                    report.merged["part of a longer record"] += 1
                else:
                    yield self._record(node, report)

    def _check(self, node: _Node, report: LoadReport) -> None:
        """Mark the node usable, or count its ratings as dropped."""
        parent = node.parent
        node.after_error = parent is not None and (parent.after_error or parent.num_wrong > 0)
        num_ratings = node.num_wrong + node.num_right
        if num_ratings == 0:
            return
        if node.num_wrong and node.num_right:
            report.drop("rated both right and wrong", node.where, f"the step {node.step[:60]!r}", num_ratings)
        elif node.after_error:
            report.drop("follows a step rated wrong", node.where, f"the step {node.step[:60]!r}", num_ratings)
        else:
            node.usable = True

    def _is_complete(self, node: _Node) -> bool:
        """True for a right solution to its end: found so by a person, or with the same answer as such a one."""
        return node.solves or (node.answer is not None and node.answer == self._answers.get(node.problem))

    def _record(self, node: _Node, report: LoadReport) -> Record:
        steps = node.steps()
        return Record(
            problem=node.problem,
            steps=steps,
            label=len(steps) - 1 if node.num_wrong else NO_ERROR,
            reference_answer=self._answers.get(node.problem),
            final_answer_correct=True if self._is_complete(node) else None,
            source=report.source,
        )

    def _child(self, parent: _Node, step: str) -> _Node:
        key = (id(parent), step)
        node = self._children.get(key)
        if node is None:
            node = self._children[key] = _Node(parent.problem, parent, step)
            self._nodes.append(node)
        return node
