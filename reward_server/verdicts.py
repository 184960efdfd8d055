"""``/v1/judge``: what the judge says of single solutions, without outcomes, groups or rewards."""

from __future__ import annotations

import asyncio

from judge.types import Solution, Unscored, Verdict
from reward_server.config import ServerConfig
from reward_server.judging import JudgeDesk, Timing
from reward_server.outcomes import Failure
from reward_server.schemas import ErrorOut, JudgeItem, JudgeOut, JudgeReply, JudgeRequest, TimingOut, VerdictOut
from reward_server.solutions import Steps, offsets, segment_all, unjudgeable


class VerdictService:
    """Judges items, all of a request in one call."""

    def __init__(self, config: ServerConfig, desk: JudgeDesk) -> None:
        self._config = config
        self._desk = desk

    async def judge(self, request: JudgeRequest) -> JudgeReply:
        """One verdict for each item, in order; items given as text are segmented, steps are taken as they are."""
        timing = Timing()
        deadline = asyncio.get_running_loop().time() + self._config.server.request_timeout_s
        texts = {index: item.text for index, item in enumerate(request.items) if item.text is not None}
        segmented = dict(zip(texts, await segment_all(list(texts.values())), strict=True))
        findings: dict[int, Verdict | Unscored | Failure] = {}
        batch: dict[int, Solution] = {}
        for index, item in enumerate(request.items):
            solution = to_solution(item, segmented.get(index))
            failure = unjudgeable(len(solution.steps), self._config.limits.max_steps)
            if failure is not None:
                findings[index] = failure
            else:
                batch[index] = solution
        findings.update(zip(batch, await self._desk.ask(list(batch.values()), deadline, timing), strict=True))
        replies = []
        for index, item in enumerate(request.items):
            steps = segmented.get(index)
            replies.append(
                verdict_out(
                    item.id,
                    findings[index],
                    num_steps=len(item.steps or steps or ()),
                    step_offsets=offsets(steps) if steps is not None and request.include_steps else None,
                )
            )
        return JudgeReply(
            items=replies,
            judge=JudgeOut(id=self._desk.judge.judge_id),
            timing_s=TimingOut(queue=timing.queue, judge=timing.judge, total=timing.total()),
        )


def to_solution(item: JudgeItem, segmented: Steps | None) -> Solution:
    """The item as the judge reads it."""
    steps = tuple(item.steps or ()) if segmented is None else tuple(step.text for step in segmented)
    return Solution(
        problem=item.problem,
        steps=steps,
        reference_solution=item.reference_solution,
        reference_answer=item.reference_answer,
        known_wrong=item.known_wrong,
    )


def verdict_out(
    item_id: str, finding: Verdict | Unscored | Failure, *, num_steps: int, step_offsets: list[tuple[int, int]] | None
) -> VerdictOut:
    """The verdict on the wire."""
    if not isinstance(finding, Verdict):
        return VerdictOut(
            id=item_id,
            status="unscored",
            num_steps=num_steps,
            step_offsets=step_offsets,
            error=ErrorOut(code=finding.reason.value, message=finding.message),
        )
    return VerdictOut(
        id=item_id,
        status="judged",
        first_error=finding.first_error,
        num_steps=num_steps,
        step_offsets=step_offsets,
        step_error_probs=None if finding.step_error_probs is None else list(finding.step_error_probs),
        expected_rts=finding.expected_rts,
        confidence=finding.confidence,
        critique=finding.critique,
    )
