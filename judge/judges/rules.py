"""The rules judge: no model, only arithmetic. It recomputes what each step states and names the first wrong step.

It finds plain slips ("12 * 4 = 50"), which small policies make often and strong models seldom; it says nothing about
reasoning. It is built for precision: what it cannot read, or can read in two ways, it leaves alone, and a solution
with nothing to go by is unscored.

The reference solution is not used. Where a response repeats an operation of the reference, recomputing already gives
the reference's result; where it does not, another value may be another way to the answer, so that no rule
about values is precise.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from pydantic import Field

from judge.arithmetic import check_text, redefines_arithmetic
from judge.settings import Settings
from judge.steps import SEGMENTER_VERSION
from judge.types import Solution, Unscored, UnscoredReason, Verdict

VERSION: Final = 2
"""Changes whenever the same solution may get another verdict."""


class RulesSettings(Settings):
    """Settings of the rules judge."""

    max_characters: int = Field(default=200_000, ge=1)
    """A solution with more characters in its steps is not read: too_long."""


class RulesJudge:
    """Finds the first step whose arithmetic is wrong."""

    def __init__(self, settings: RulesSettings | None = None) -> None:
        self._settings = settings or RulesSettings()

    @property
    def judge_id(self) -> str:
        """Rules and segmenter; `RulesSettings.max_characters` decides who is read, never a verdict."""
        return f"rules@{VERSION}+{SEGMENTER_VERSION}"

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """Judge every solution, in a thread so that a long one does not hold up the event loop."""
        return [await asyncio.to_thread(self.judge_one, solution) for solution in batch]

    def judge_one(self, solution: Solution) -> Verdict | Unscored:
        """The verdict on one solution; pure but for the clock."""
        started = time.perf_counter()
        num_characters = sum(map(len, solution.steps))
        if not solution.steps:
            return self._unscored(UnscoredReason.NO_STEPS, "the response has no steps", started)
        if num_characters > self._settings.max_characters:
            message = f"{num_characters} characters, max_characters is {self._settings.max_characters}"
            return self._unscored(UnscoredReason.TOO_LONG, message, started)
        if redefines_arithmetic(solution.problem):
            message = "the problem counts in another way (number bases, remainders, operations of its own)"
            return self._unscored(UnscoredReason.NO_EVIDENCE, message, started)
        num_checked = 0
        for index, step in enumerate(solution.steps):
            claims = check_text(step)
            wrong = next((claim for claim in claims if not claim.holds), None)
            if wrong is not None:
                return self._verdict(index, f"step {index}: {wrong.critique}", started)
            num_checked += len(claims)
        if num_checked and not solution.known_wrong:
            return self._verdict(None, f"equations checked: {num_checked}, all hold", started)
        message = f"equations checked: {num_checked}, all hold" if num_checked else "no equation to check in any step"
        return self._unscored(UnscoredReason.NO_EVIDENCE, message, started)

    async def aclose(self) -> None:
        """Nothing to release."""

    def _verdict(self, first_error: int | None, critique: str, started: float) -> Verdict:
        latency_s = time.perf_counter() - started
        return Verdict(first_error, self.judge_id, critique=critique, latency_s=latency_s)

    def _unscored(self, reason: UnscoredReason, message: str, started: float) -> Unscored:
        return Unscored(reason, message, self.judge_id, latency_s=time.perf_counter() - started)
