"""``/v1/judge``: what the judge says of single solutions, without outcomes, groups or rewards."""

from __future__ import annotations

import asyncio

from judge.types import Solution, Unscored, Verdict
from reward_server.config import ServerConfig
from reward_server.engine.judging import Errand, JudgeDesk, Timing
from reward_server.outcomes import Failure
from reward_server.reading import Steps
from reward_server.schemas import ErrorOut, JudgeItem, JudgeOut, JudgeReply, JudgeRequest, TimingOut, VerdictOut
from reward_server.solutions import Segmenter, offsets, unjudgeable


class VerdictService:
    """Judges items, all of a request in one call."""

    def __init__(self, config: ServerConfig, desk: JudgeDesk, segmenter: Segmenter) -> None:
        self._config = config
        self._desk = desk
        self._segmenter = segmenter

    async def judge(self, request: JudgeRequest, tenant: str = "", deadline: float | None = None) -> JudgeReply:
        """One verdict for each item, in order; items given as text are segmented, steps are taken as they are.

        Args:
            tenant: whose work it is.
            deadline: on the event loop's clock; without one, ``[server] request_timeout_s`` from now.

        Raises:
            reward_server.errors.ApiError: 503, when the server holds as much work as it can.
        """
        timing = Timing()
        if deadline is None:
            deadline = asyncio.get_running_loop().time() + self._config.server.request_timeout_s
        with self._desk.admit(len(request.items)):
            return await self._judge(request, Errand(deadline, timing, tenant))

    async def _judge(self, request: JudgeRequest, errand: Errand) -> JudgeReply:
        timing, deadline = errand.timing, errand.deadline
        texts = {index: item.text for index, item in enumerate(request.items) if item.text is not None}
        cuts = dict(zip(texts, await self._segmenter.segment_all(list(texts.values()), deadline), strict=True))
        steps = [read_steps(item, cuts.get(index)) for index, item in enumerate(request.items)]
        findings: dict[int, Verdict | Unscored | Failure] = {}
        batch: dict[int, Solution] = {}
        for index, item in enumerate(request.items):
            found = steps[index]
            failure = unjudgeable(None if found is None else len(found), self._config.limits.max_steps)
            if failure is not None:
                findings[index] = failure
                continue
            batch[index] = Solution(
                problem=item.problem,
                steps=found or (),
                reference_solution=item.reference_solution,
                reference_answer=item.reference_answer,
                known_wrong=item.known_wrong,
            )
        answers = dict(zip(batch, await self._desk.answer(list(batch.values()), errand), strict=True))
        findings.update({index: answer.result for index, answer in answers.items()})
        replies = []
        for index, item in enumerate(request.items):
            out = verdict_out(item.id, findings[index], steps[index])
            out.cached = index in answers and answers[index].cached
            cut = cuts.get(index)
            out.step_offsets = offsets(cut) if cut is not None and request.include_steps else None
            replies.append(out)
        return JudgeReply(
            items=replies,
            judge=JudgeOut(id=self._desk.judge.judge_id),
            timing_s=TimingOut(queue=timing.queue, judge=timing.judge, total=timing.total()),
        )


def read_steps(item: JudgeItem, cut: Steps | None) -> tuple[str, ...] | None:
    """The steps that the judge reads; None when a text was not cut in time."""
    if item.steps is not None:
        return tuple(item.steps)
    return None if cut is None else tuple(step.text for step in cut)


def verdict_out(item_id: str, finding: Verdict | Unscored | Failure, steps: tuple[str, ...] | None) -> VerdictOut:
    """The verdict on the wire."""
    num_steps = None if steps is None else len(steps)
    if not isinstance(finding, Verdict):
        error = ErrorOut(code=finding.reason.value, message=finding.message)
        return VerdictOut(id=item_id, status="unscored", num_steps=num_steps, error=error)
    return VerdictOut(
        id=item_id,
        status="judged",
        first_error=finding.first_error,
        num_steps=num_steps,
        step_error_probs=None if finding.step_error_probs is None else list(finding.step_error_probs),
        expected_rts=finding.expected_rts,
        confidence=finding.confidence,
        critique=finding.critique,
    )
