"""The data that crosses the judge's borders: what it reads and what it says.

Steps are always counted from 0. ``NO_ERROR`` (-1) is only used where a *label* is stored (data files, benchmarks);
a `Verdict` says "no error found" with ``first_error=None``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

NO_ERROR: Final = -1
"""Label of a solution without a wrong step (ProcessBench's convention)."""


@dataclass(frozen=True, slots=True)
class Record:
    """One labelled solution, the common form of every data set.

    >>> Record(problem="1+1+1?", steps=("1+1=2", "2+1=4"), label=1, source="demo", id="demo-0").label
    1
    """

    problem: str
    steps: tuple[str, ...]
    label: int | None = None
    """0-based index of the first wrong step, `NO_ERROR` for none, None where nobody labelled it."""
    reference_solution: str | None = None
    reference_answer: str | None = None
    final_answer_correct: bool | None = None
    source: str = ""
    id: str = ""
    critique: str | None = None
    """What a person (or a judge) wrote about the first wrong step."""


@dataclass(frozen=True, slots=True)
class Solution:
    """One response for a judge to read: the problem and the response's steps.

    >>> Solution(problem="1+1+1?", steps=("1+1=2", "2+1=4"), known_wrong=True).known_wrong
    True
    """

    problem: str
    steps: tuple[str, ...]
    reference_solution: str | None = None
    reference_answer: str | None = None
    known_wrong: bool = False
    """True when the final answer is known to be wrong: then "no error" is not a possible verdict."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a verdict cost, in tokens and model calls. Adds up with ``+``.

    >>> Usage(prompt_tokens=10, calls=1) + Usage(completion_tokens=3, calls=1)
    Usage(prompt_tokens=10, completion_tokens=3, calls=2)
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.calls + other.calls,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the first wrong step is, as one judge sees it.

    >>> Verdict(first_error=1, judge_id="rules@1").first_error
    1
    """

    first_error: int | None
    """0-based index of the first wrong step; None when the judge found no error."""
    judge_id: str
    """Names everything that can change the verdict: weights, prompt, segmenter version, decoding."""
    step_error_probs: tuple[float, ...] | None = None
    """P(step t is wrong | all steps before are right), one per step, each in [0, 1]."""
    expected_rts: float | None = None
    """Expected share of the solution before its first error, in [0, 1]."""
    confidence: float | None = None
    """Probability that the judge gives to `first_error`, in [0, 1]."""
    critique: str | None = None
    """What the judge said, for people to read."""
    usage: Usage = field(default_factory=Usage)
    latency_s: float = 0.0


class UnscoredReason(StrEnum):
    """Why a response has no verdict. The names go over the wire and into metrics."""

    NO_EVIDENCE = "no_evidence"
    """The judge has nothing to go by (rules that found nothing to check)."""
    NO_ERROR_FOUND = "no_error_found"
    """The response is known to be wrong, and the judge found every step right."""
    PARSE_ERROR = "parse_error"
    """The judge's reply is not on the menu."""
    JUDGE_UNAVAILABLE = "judge_unavailable"
    """The judge could not be reached, or answered with an error."""
    JUDGE_TIMEOUT = "judge_timeout"
    NO_STEPS = "no_steps"
    """The response is empty, or holds nothing that counts as a step."""
    TOO_LONG = "too_long"
    """More steps or characters than the judge reads."""
    OUTCOME_ERROR = "outcome_error"
    """The final answer could not be checked (time-out or crash of the checker)."""
    NO_ANSWER = "no_answer"
    """The problem came without a reference answer and without an outcome."""


@dataclass(frozen=True, slots=True)
class Unscored:
    """A response that could not be judged. It is never worth 0: it leaves its group's baseline.

    >>> Unscored(reason=UnscoredReason.NO_EVIDENCE, message="no equation in any step", judge_id="rules@1").reason.value
    'no_evidence'
    """

    reason: UnscoredReason
    message: str
    """One sentence for people: what happened."""
    judge_id: str
    raw: str | None = None
    """The judge's reply, where there was one."""
    usage: Usage = field(default_factory=Usage)
    latency_s: float = 0.0
