"""The group rule, served: outcomes first, then a judge for those wrong responses that need one.

No HTTP in here: wire models in, wire models out. An answer check or a judge that fails does not raise; the response
becomes unscored, with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from judge.answers import AnswerChecker
from judge.shaping import Shaping, rts, shaped_reward, step_lengths

from judge.types import Solution, Unscored
from reward_server.config import ApplyTo, LengthUnit, ServerConfig, ShapingSettings
from reward_server.errors import invalid_request
from reward_server.judging import JudgeDesk, Timing
from reward_server.metrics import Metrics
from reward_server.outcomes import Failure, Outcome, find_outcomes
from reward_server.schemas import (
    ErrorOut,
    GroupIn,
    GroupOut,
    JudgeOut,
    ResponseOut,
    RewardReply,
    RewardRequest,
    TimingOut,
)
from reward_server.solutions import Steps, offsets, segment_all, unjudgeable


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict turned into a share."""

    first_error: int
    rts: float


class RewardService:
    """Scores groups. Safe for any number of requests at a time on one event loop."""

    def __init__(
        self,
        config: ServerConfig,
        desk: JudgeDesk,
        checker: AnswerChecker,
        metrics: Metrics,
        count_tokens: Callable[[str], int] | None,
    ) -> None:
        self._config = config
        self._desk = desk
        self._checker = checker
        self._metrics = metrics
        self._count_tokens = count_tokens

    async def score(self, request: RewardRequest) -> RewardReply:
        """Rewards for every response, in order.

        Raises:
            reward_server.errors.ApiError: 422, when the request asks for a shaping that cannot be had.
        """
        shaping = request.shaping.over(self._config.shaping)
        self._check(request, shaping)
        timing = Timing()
        deadline = asyncio.get_running_loop().time() + self._config.server.request_timeout_s
        groups = await asyncio.gather(
            *(self._score_group(group, shaping, request.include_steps, deadline, timing) for group in request.groups)
        )
        return RewardReply(
            groups=groups,
            judge=JudgeOut(id=self._desk.judge.judge_id),
            timing_s=TimingOut(queue=timing.queue, judge=timing.judge, total=timing.total()),
        )

    def _check(self, request: RewardRequest, shaping: ShapingSettings) -> None:
        if shaping.length == "tokens" and self._count_tokens is None:
            raise invalid_request(
                "shaping.length", "this server cannot count tokens; set [server] tokenizer, or use steps or characters"
            )
        for index, group in enumerate(request.groups):
            if shaping.apply_to == "all_negative" and not group.complete:
                raise invalid_request(
                    f"groups[{index}].complete",
                    "shaping.apply_to 'all_negative' needs whole groups; send them whole, or ask for 'every_wrong'",
                )

    async def _score_group(
        self, group: GroupIn, shaping: ShapingSettings, include_steps: bool, deadline: float, timing: Timing
    ) -> GroupOut:
        outcomes = await find_outcomes(group, self._checker, deadline)
        all_negative = group.complete and bool(outcomes) and all(outcome is False for outcome in outcomes)
        to_judge = which_to_judge(outcomes, all_negative, shaping.apply_to)
        to_segment = list(range(len(outcomes))) if include_steps else to_judge
        segmented = await segment_all([group.responses[index].text for index in to_segment])
        steps = dict(zip(to_segment, segmented, strict=True))
        findings = await self._judge(group, {index: steps[index] for index in to_judge}, shaping, deadline, timing)
        responses = []
        for index, (response, outcome) in enumerate(zip(group.responses, outcomes, strict=True)):
            out = reward(response.id, outcome, findings.get(index), shaping)
            if index in steps:
                out.num_steps = len(steps[index])
                out.step_offsets = offsets(steps[index]) if include_steps else None
            responses.append(out)
        self._count(responses, all_negative)
        return GroupOut(group_id=group.group_id, all_negative=all_negative, responses=responses)

    async def _judge(
        self, group: GroupIn, steps: dict[int, Steps], shaping: ShapingSettings, deadline: float, timing: Timing
    ) -> dict[int, Finding | Failure]:
        """What the judge finds in each of the responses, by their index in the group."""
        findings: dict[int, Finding | Failure] = {}
        batch: dict[int, Solution] = {}
        for index, found in steps.items():
            failure = unjudgeable(len(found), self._config.limits.max_steps)
            if failure is not None:
                findings[index] = failure
                continue
            batch[index] = Solution(
                problem=group.problem,
                steps=tuple(step.text for step in found),
                reference_solution=group.reference_solution,
                reference_answer=group.reference_answer,
                known_wrong=True,
            )
        results = await self._desk.ask(list(batch.values()), deadline, timing)
        for (index, solution), result in zip(batch.items(), results, strict=True):
            if isinstance(result, Unscored):
                findings[index] = Failure(result.reason, result.message)
            else:
                assert result.first_error is not None, "the desk lets no such verdict pass for a known-wrong response"
                lengths = await self._lengths(solution.steps, shaping.length)
                findings[index] = Finding(result.first_error, rts(result.first_error, lengths))
        return findings

    async def _lengths(self, steps: Sequence[str], unit: LengthUnit) -> list[int]:
        if unit == "tokens":
            return await asyncio.to_thread(step_lengths, steps, unit, self._count_tokens)
        return step_lengths(steps, unit, None)

    def _count(self, responses: Sequence[ResponseOut], all_negative: bool) -> None:
        metrics = self._metrics
        metrics.groups.inc()
        metrics.all_negative.inc(all_negative)
        metrics.rescued.inc(all_negative and is_rescued(responses))
        for response in responses:
            metrics.responses.labels(status=response.status).inc()
            if response.error is not None:
                metrics.unscored.labels(reason=response.error.code).inc()


def which_to_judge(outcomes: Sequence[Outcome], all_negative: bool, apply_to: ApplyTo) -> list[int]:
    """Indices of the responses whose reward needs a verdict; right ones and mixed groups cost none.

    >>> which_to_judge([False, True], all_negative=False, apply_to="every_wrong")
    [0]
    """
    if apply_to == "none" or (apply_to == "all_negative" and not all_negative):
        return []
    return [index for index, outcome in enumerate(outcomes) if outcome is False]


def reward(
    response_id: str, outcome: Outcome, finding: Finding | Failure | None, shaping: ShapingSettings
) -> ResponseOut:
    """One response's reward; ``finding`` is None where the rule asks for no verdict."""
    if isinstance(outcome, Failure):
        return unscored(response_id, None, outcome)
    if outcome:
        return ResponseOut(id=response_id, reward=1.0, acc=1, status="correct")
    if finding is None:
        return ResponseOut(id=response_id, reward=0.0, acc=0, status="wrong")
    if isinstance(finding, Failure):
        return unscored(response_id, 0, finding)
    return ResponseOut(
        id=response_id,
        reward=shaped_reward(finding.rts, Shaping(shaping.beta, shaping.gamma, shaping.cap)),
        acc=0,
        rts=finding.rts,
        first_error=finding.first_error,
        status="judged",
    )


def unscored(response_id: str, acc: Literal[0] | None, failure: Failure) -> ResponseOut:
    """A response without a reward, and why."""
    error = ErrorOut(code=failure.reason.value, message=failure.message)
    return ResponseOut(id=response_id, reward=None, acc=acc, status="unscored", error=error)


def is_rescued(responses: Sequence[ResponseOut]) -> bool:
    """True when the rewards of a group differ, so that it teaches something."""
    return len({response.reward for response in responses if response.reward is not None}) > 1
