"""The group rule, served: outcomes first, then a judge for those wrong responses that need one.

No HTTP in here: wire models in, wire models out. An answer check or a judge that fails does not raise; the response
becomes unscored, with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from judge.answers import AnswerChecker
from judge.shaping import LengthUnit, group_rewards, is_all_negative
from judge.types import Solution, Unscored, Verdict
from reward_server.config import ServerConfig, ShapingSettings
from reward_server.crediting import Crediting, Part, Reading
from reward_server.engine.judging import Errand, JudgeDesk, Timing
from reward_server.errors import invalid_request
from reward_server.metrics import Metrics
from reward_server.outcomes import Failure, Outcome, find_outcomes
from reward_server.reading import Steps
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
from reward_server.solutions import NO_STEPS, NOT_SEGMENTED, Segmenter, offsets
from reward_server.watch.drift import Drift
from reward_server.web.feed import Feed
from reward_server.web.recent import ScoredGroup


@dataclass(frozen=True, slots=True)
class Finding:
    """A wrong response turned into a share."""

    rts: float
    rts_raw: float | None = None
    verdict: Verdict | None = None
    """None at the floor, where no judge is asked."""
    cached: bool = False


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
        feed: Feed | None = None,
    ) -> None:
        self._config = config
        self._desk = desk
        self._segmenter = segmenter
        self._checker = checker
        self._metrics = metrics
        self._count_tokens = count_tokens
        self._crediting = Crediting(config.defences, segmenter.pool, count_tokens)
        self._drift = Drift(config.drift, metrics.registry)
        self._feed = feed

    async def score(self, request: RewardRequest, tenant: str = "", deadline: float | None = None) -> RewardReply:
        """Rewards for every response, in order.

        Args:
            tenant: whose work it is.
            deadline: on the event loop's clock; without one, ``[server] request_timeout_s`` from now.

        Raises:
            reward_server.errors.ApiError: 422, when the request asks for a shaping that cannot be had; 503, when the
                server holds as much work as it can.
        """
        timing = Timing()
        groups = await self.score_unseen(request, timing, deadline, tenant)
        for group in groups:
            self._count(group)
        self._drift.saw(groups)
        if self._feed is not None:
            self._feed.saw(groups, timing.judge, tenant)
        return RewardReply(
            groups=[group.out for group in groups],
            judge=JudgeOut(id=self._desk.judge.judge_id),
            timing_s=TimingOut(queue=timing.queue, judge=timing.judge, total=timing.total()),
        )

    async def score_unseen(
        self, request: RewardRequest, timing: Timing, deadline: float | None = None, tenant: str = ""
    ) -> list[ScoredGroup]:
        """Like `score`, with the judge's verdicts, and in no count of groups and responses.

        Raises:
            reward_server.errors.ApiError: as `score`.
        """
        shaping = request.shaping.over(self._config.shaping)
        self._check(request, shaping)
        if deadline is None:
            deadline = asyncio.get_running_loop().time() + self._config.server.request_timeout_s
        errand = Errand(deadline, timing, tenant)
        with self._desk.admit(sum(len(group.responses) for group in request.groups)):
            return await asyncio.gather(
                *(self._score_group(group, shaping, request.include_steps, errand) for group in request.groups)
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
        self, group: GroupIn, shaping: ShapingSettings, include_steps: bool, errand: Errand
    ) -> ScoredGroup:
        outcomes = await find_outcomes(group, self._checker, errand.deadline)
        known = [None if isinstance(outcome, Failure) else outcome for outcome in outcomes]
        all_negative = group.complete and is_all_negative(known)
        pays_prefixes = shaping.apply_to == "every_wrong" or (shaping.apply_to == "all_negative" and all_negative)
        to_judge = [index for index, outcome in enumerate(outcomes) if pays_prefixes and outcome is False]
        readings = await self._crediting.read(
            group.problem,
            {index: group.responses[index].text for index in to_judge},
            errand.deadline,
            self._config.limits.max_steps,
        )
        parts = {index: NOT_SEGMENTED if reading is None else reading.part for index, reading in readings.items()}
        steps = await self._cut(group, readings, include_steps, errand.deadline)
        judged = await self._judge(group, parts, shaping.length, errand)
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
            part = parts.get(index)
            if isinstance(part, Part):
                out.flags = [flag.value for flag in part.examined.flags]
            responses.append(out)
        return ScoredGroup(
            asked=group,
            out=GroupOut(group_id=group.group_id, all_negative=all_negative, responses=responses),
            verdicts={
                index: finding.verdict
                for index, finding in judged.items()
                if isinstance(finding, Finding) and finding.verdict is not None
            },
            rescued=all_negative and is_rescued(responses),
        )

    async def _cut(
        self, group: GroupIn, readings: Mapping[int, Reading | None], everything: bool, deadline: float
    ) -> dict[int, Steps | None]:
        """The steps of the responses that were read, and of all the others when they are asked for, by index."""
        cuts = {index: None if reading is None else reading.cut for index, reading in readings.items()}
        if everything:
            rest = [index for index in range(len(group.responses)) if index not in cuts]
            texts = [group.responses[index].text for index in rest]
            cuts.update(zip(rest, await self._segmenter.segment_all(texts, deadline), strict=True))
        return cuts

    async def _judge(
        self, group: GroupIn, parts: Mapping[int, Part | Failure], unit: LengthUnit, errand: Errand
    ) -> dict[int, Finding | Failure]:
        """What each of the responses is worth, by their index in the group. Those at the floor are not judged."""
        findings: dict[int, Finding | Failure] = {}
        batch: dict[int, Solution] = {}
        known: dict[int, Part] = {}
        for index, part in parts.items():
            if isinstance(part, Failure):
                findings[index] = part
            elif part.examined.is_floored:
                findings[index] = Finding(0.0)
            elif not part.steps:
                findings[index] = NO_STEPS
            else:
                known[index] = part
                batch[index] = Solution(
                    problem=group.problem,
                    steps=part.steps,
                    reference_solution=group.reference_solution,
                    reference_answer=group.reference_answer,
                    known_wrong=True,
                )
        measures = await self._crediting.measure(group.problem, group.reference_solution, known, unit, errand.deadline)
        answers = await self._desk.answer(list(batch.values()), errand)
        for index, (result, cached) in zip(batch, answers, strict=True):
            if isinstance(result, Unscored):
                findings[index] = Failure(result.reason, result.message)
            else:
                assert result.first_error is not None, "the desk lets no such verdict pass for a known-wrong response"
                defended = measures.defended(index, known[index], result.first_error)
                findings[index] = Finding(defended.rts, measures.plain(index, result.first_error), result, cached)
        return findings

    def _count(self, group: ScoredGroup) -> None:
        metrics = self._metrics
        metrics.groups.inc()
        metrics.all_negative.inc(group.out.all_negative)
        metrics.rescued.inc(group.rescued)
        for response in group.out.responses:
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
        out = ResponseOut(id=response_id, reward=reward, acc=acc, rts=finding.rts, status="wrong")
        if finding.verdict is not None:
            out.rts_raw, out.first_error, out.status = finding.rts_raw, finding.verdict.first_error, "judged"
            out.cached = finding.cached
        return out
    return ResponseOut(id=response_id, reward=reward, acc=acc, status="correct" if outcome else "wrong")


def is_rescued(responses: Sequence[ResponseOut]) -> bool:
    """True when the rewards of a group differ, so that it teaches something."""
    return len({response.reward for response in responses if response.reward is not None}) > 1
