"""Wrong responses with one slip, two judges of them, and what the defences pay for the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from judge.defences import DefenceSettings, Examined, credit, examine
from judge.judges.rules import RulesJudge
from judge.steps import segment
from judge.types import Solution, Verdict

Judge = Callable[[str, tuple[str, ...]], int | None]


def rules(problem: str, steps: tuple[str, ...]) -> int | None:
    """Recomputes: finds the slip, or says nothing."""
    result = RulesJudge().judge_one(Solution(problem, steps, known_wrong=True))
    return result.first_error if isinstance(result, Verdict) else None


def gullible(_problem: str, steps: tuple[str, ...]) -> int | None:
    """Believes everything for as long as it can."""
    return len(steps) - 1


JUDGES = [rules, gullible]


@dataclass(frozen=True)
class Wrong:
    """A chain of sums, one of them wrong."""

    problem: str
    lines: tuple[str, ...]
    slip: int

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@st.composite
def wrong_responses(draw: st.DrawFn, least: int = 2) -> Wrong:
    """Lines like "Eve puts 17 more in, so now there are 120 + 17 = 137 pears." and a stated answer."""
    added = draw(st.lists(st.integers(11, 97), min_size=least, max_size=8, unique=True))
    slip = draw(st.integers(0, len(added) - 1))
    total = start = draw(st.integers(1000, 5000))
    lines = []
    for index, more in enumerate(added):
        after = total + more + (100 if index == slip else 0)
        lines.append(f"Eve puts {more} more in, so now there are {total} + {more} = {after} pears.")
        total = after
    stories = ", then ".join(str(more) for more in added)
    problem = f"Eve has {start} pears in a box. She puts in {stories}. How many pears are there?"
    return Wrong(problem, (*lines, f"The answer is \\boxed{{{total}}}."), slip)


def examined(problem: str, text: str) -> tuple[Examined, tuple[str, ...]]:
    steps = tuple(step.text for step in segment(text))
    return examine(text, steps, problem, DefenceSettings()), steps


def paid(wrong: Wrong, text: str, judge: Judge, typical: float | None = None) -> float | None:
    """The share that is paid for ``text``; None when the judge says nothing.

    ``typical`` is by default the length of the response as it was: that of its group.
    """
    found, steps = examined(wrong.problem, text)
    if found.is_floored:
        return 0.0
    first_error = judge(wrong.problem, steps)
    if first_error is None:
        return None
    usual = examined(wrong.problem, wrong.text)[0].effective() if typical is None else typical
    return credit(found, first_error, None, usual).rts
