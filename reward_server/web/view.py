"""A scored group as the page shows it: every text, where its steps lie in it, and what the judge said of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Self

from judge.types import Verdict
from reward_server.reading import Steps
from reward_server.schemas import JudgeOut, ResponseOut, VerdictOut, Wire
from reward_server.solutions import offsets
from reward_server.web.recent import KeptGroup, ScoredGroup

HEAD_CHARS = 160
"""So much of a problem stands in the list of recent groups."""


class VerdictView(Wire):
    """What the judge said of one response."""

    first_error: int | None
    """0-based; null: no step is wrong."""
    step_error_probs: list[float] | None = None
    """[num_steps] probability that the step is wrong given that all before it are right."""
    expected_rts: float | None = None
    confidence: float | None = None
    critique: str | None = None
    for_show: bool = False
    """True: the group rule asked for no verdict, so that this one has no part in the reward."""

    @classmethod
    def of(cls, verdict: Verdict | VerdictOut, *, for_show: bool) -> Self:
        """The part of a verdict that people read."""
        probs = verdict.step_error_probs
        return cls(
            first_error=verdict.first_error,
            step_error_probs=None if probs is None else list(probs),
            expected_rts=verdict.expected_rts,
            confidence=verdict.confidence,
            critique=verdict.critique,
            for_show=for_show,
        )


class ResponseView(Wire):
    """One response with its steps."""

    text: str
    steps: list[tuple[int, int]] | None
    """[num_steps] start and end of each step, counted in Unicode code points; null when there was no time to cut."""
    result: ResponseOut
    verdict: VerdictView | None


class GroupView(Wire):
    """One group; ``id`` and ``at`` are null for one that is not kept."""

    id: str | None
    at: float | None
    """Unix time."""
    group_id: str
    problem: str
    reference_answer: str | None
    reference_solution: str | None
    all_negative: bool
    rescued: bool
    judge: JudgeOut
    responses: list[ResponseView]


class GroupLine(Wire):
    """One line of the list of recent groups."""

    id: str
    at: float
    group_id: str
    problem: str
    """Its first characters."""
    num_responses: int
    statuses: dict[str, int]
    """How many responses have which status."""
    all_negative: bool
    rescued: bool


def group_view(
    scored: ScoredGroup,
    steps: Sequence[Steps | None],
    judge_id: str,
    extra: Mapping[int, VerdictView],
    kept: KeptGroup | None = None,
) -> GroupView:
    """Put a group together.

    Args:
        scored: what the group rule made of it.
        steps: [num_responses] the steps of each response.
        judge_id: which judge spoke.
        extra: verdicts that the rule did not ask for, by the response's index.
        kept: where it is kept, if it is.
    """
    asked, verdicts = scored.asked, dict(extra)
    for index, verdict in scored.verdicts.items():
        verdicts[index] = VerdictView.of(verdict, for_show=False)
    return GroupView(
        id=kept.key if kept else None,
        at=kept.at if kept else None,
        group_id=asked.group_id,
        problem=asked.problem,
        reference_answer=asked.reference_answer,
        reference_solution=asked.reference_solution,
        all_negative=scored.out.all_negative,
        rescued=scored.rescued,
        judge=JudgeOut(id=judge_id),
        responses=[
            ResponseView(
                text=response.text,
                steps=None if cut is None else offsets(cut),
                result=scored.out.responses[index],
                verdict=verdicts.get(index),
            )
            for index, (response, cut) in enumerate(zip(asked.responses, steps, strict=True))
        ],
    )


def group_line(kept: KeptGroup) -> GroupLine:
    """A kept group in the list."""
    scored = kept.scored
    return GroupLine(
        id=kept.key,
        at=kept.at,
        group_id=scored.asked.group_id,
        problem=scored.asked.problem[:HEAD_CHARS],
        num_responses=len(scored.asked.responses),
        statuses=dict(Counter(response.status for response in scored.out.responses)),
        all_negative=scored.out.all_negative,
        rescued=scored.rescued,
    )
