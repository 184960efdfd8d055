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
from judge.shaping import LengthUnit, group_rewards, is_all_negative, rts, step_lengths
from judge.types import Solution, Unscored
from reward_server.config import ServerConfig, ShapingSettings
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
from reward_server.solutions import Segmenter, Steps, offsets, unjudgeable


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
        segmenter: Segmenter,
        checker: AnswerChecker,
        metrics: Metrics,
        count_tokens: Callable[[str], int] | None,
    ) -> None:
        self._config = config
        self._desk = desk
        self._segmenter = segmenter
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
        known = [None if isinstance(outcome, Failure) else outcome for outcome in outcomes]
        all_negative = group.complete and is_all_negative(known)
        pays_prefixes = shaping.apply_to == "every_wrong" or (shaping.apply_to == "all_negative" and all_negative)
        to_judge = [index for index, outcome in enumerate(outcomes) if pays_prefixes and outcome is False]
        to_segment = list(range(len(outcomes))) if include_steps else to_judge
        texts = [group.responses[index].text for index in to_segment]
        segmented = await self._segmenter.segment_all(texts, deadline)
        steps = dict(zip(to_segment, segmented, strict=True))
        judged = await self._judge(group, {index: steps[index] for index in to_judge}, shaping.length, deadline, timing)
        findings = [judged.get(index) for index in range(len(outcomes))]
        rts_values = [finding.rts if isinstance(finding, Finding) else None for finding in findings]
        rewards = group_rewards(known, rts_values, shaping.curve(), shaping.apply_to)
        responses = []
        for index, response in enumerate(group.responses):
            out = response_out(response.id, outcomes[index], findings[index], rewards[index])
            cut = steps.get(index)
            if cut is not None:
                out.num_steps = len(cut)
                out.step_offsets = offsets(cut) if include_steps else None
            responses.append(out)
        self._count(responses, all_negative)
        return GroupOut(group_id=group.group_id, all_negative=all_negative, responses=responses)

    async def _judge(
        self, group: GroupIn, steps: dict[int, Steps | None], unit: LengthUnit, deadline: float, timing: Timing
    ) -> dict[int, Finding | Failure]:
        """What the judge finds in each of the responses, by their index in the group."""
        findings: dict[int, Finding | Failure] = {}
        batch: dict[int, Solution] = {}
        for index, cut in steps.items():
            failure = unjudgeable(None if cut is None else len(cut), self._config.limits.max_steps)
            if failure is not None:
                findings[index] = failure
                continue
            batch[index] = Solution(
                problem=group.problem,
                steps=tuple(step.text for step in cut or ()),
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
                lengths = await self._lengths(solution.steps, unit)
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


def response_out(
    response_id: str, outcome: Outcome, finding: Finding | Failure | None, reward: float | None
) -> ResponseOut:
    """One response on the wire; ``finding`` is None where the rule asks for no verdict."""
    acc: Literal[0, 1] | None = None if isinstance(outcome, Failure) else (1 if outcome else 0)
    failure = next((each for each in (outcome, finding) if isinstance(each, Failure)), None)
    if failure is not None:
        error = ErrorOut(code=failure.reason.value, message=failure.message)
        return ResponseOut(id=response_id, reward=None, acc=acc, status="unscored", error=error)
    if isinstance(finding, Finding):
        return ResponseOut(
            id=response_id, reward=reward, acc=acc, rts=finding.rts, first_error=finding.first_error, status="judged"
        )
    return ResponseOut(id=response_id, reward=reward, acc=acc, status="correct" if outcome else "wrong")


def is_rescued(responses: Sequence[ResponseOut]) -> bool:
    """True when the rewards of a group differ, so that it teaches something."""
    return len({response.reward for response in responses if response.reward is not None}) > 1
