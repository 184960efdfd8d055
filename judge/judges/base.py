"""The one interface that every judge has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from judge.types import Solution, Unscored, Verdict


@runtime_checkable
class Judge(Protocol):
    """Finds the first wrong step of each solution.

    A judge that cannot score a solution says so with `Unscored`; it raises only when it cannot work at all
    (`judge.errors.JudgeError`). Results have the same length and order as the batch.
    """

    @property
    def judge_id(self) -> str:
        """Names everything that can change a verdict, e.g. ``rules@1+seg1``."""
        ...

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """Judge every solution of the batch, in order."""
        ...

    async def aclose(self) -> None:
        """Release connections, processes and models. Safe to call twice."""
        ...


@runtime_checkable
class Summarised(Protocol):
    """A judge that can say what it has done, such as the share that a cascade escalated."""

    def summary(self) -> str:
        """One line for people."""
        ...
