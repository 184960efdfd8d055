"""Scores the responses of trainers that send them one by one: joins them into groups, or scores each by itself.

No HTTP in here. A response is joined when it comes with a group size, in its label or elsewhere in its request, or by
the dialect's ``group_size``. Without one, a wrong response earns its partial credit whatever its siblings are: nobody
can say then that its group is all-negative.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from judge.answers import AnswerChecker
from judge.errors import ConfigError
from judge.shaping import ApplyTo
from reward_server.config import ServerConfig
from reward_server.dialects.answers import (
    GROUP_INCOMPLETE,
    Answer,
    Grouping,
    apply_fallback,
    from_service,
    is_retryable,
)
from reward_server.dialects.base import Sample
from reward_server.dialects.settings import DialectSettings
from reward_server.edge.middleware import draining
from reward_server.errors import ApiError, invalid_request
from reward_server.joining.joiner import GroupJoiner
from reward_server.joining.parts import Draining, JoinerFull, JoinMetrics, Judged, Member, SizeConflict
from reward_server.outcomes import find_outcomes
from reward_server.schemas import GroupIn, RewardRequest, ShapingIn
from reward_server.service import RewardService

GRACE_S: Final = 2.0
"""A judgement is due at the reply's deadline; this much later the request is answered without it."""
RETRY_AFTER_S: Final = 5
JUDGE_FAILED: Final = "judge_failed"


class SampleScorer:
    """Answers single responses. One per app; safe for any number of requests on one event loop.

    Raises:
        ConfigError: when groups are to be joined by several worker processes.
    """

    def __init__(
        self, config: ServerConfig, rewards: RewardService, checker: AnswerChecker, registry: CollectorRegistry
    ) -> None:
        self._config = config
        self._check_workers()
        self._rewards = rewards
        self._checker = checker
        self.joiner: GroupJoiner[Sample, Answer] = GroupJoiner(self, config.join, JoinMetrics(registry))
        self._fallbacks = Counter(
            "sgpo_dialect_fallbacks",
            "Responses answered by a rule because a verdict of their group was missing.",
            ("dialect", "rule"),
            registry=registry,
        )

    def _check_workers(self) -> None:
        several = self._config.server.num_processes > 1
        sized = [name for name, table in self._config.dialects if table.group_size]
        if several and sized:
            raise ConfigError(
                f"[dialects.{sized[0]}] group_size needs [server] workers = 1 and replicas = 1: the responses of"
                " a group would reach different processes and never meet"
            )

    def settings_of(self, dialect: str) -> DialectSettings:
        """The table of a dialect."""
        settings: DialectSettings = getattr(self._config.dialects, dialect)
        return settings

    async def score(self, sample: Sample, park: Callable[[], None]) -> Answer:
        """The answer to one response.

        Args:
            sample: the response.
            park: called before the response waits for others, so that it does not keep them out.

        Raises:
            ApiError: 422 for a size that contradicts the group's, 503 when no answer can be given now.
        """
        settings = self.settings_of(sample.dialect)
        size = sample.label.group_size or settings.group_size
        try:
            async with asyncio.timeout_at(sample.reply_by + GRACE_S):
                answer = await (self._join(sample, size, park) if size else self._alone(sample))
        except TimeoutError:
            raise failed("judge_timeout", sample.dialect) from None
        except SizeConflict as conflict:
            raise invalid_request(f"{sample.path}.group_size", str(conflict)) from None
        except JoinerFull as full:
            raise ApiError(503, "overloaded", f"{full}; ask again later", {"retry-after": str(RETRY_AFTER_S)}) from None
        except Draining:
            raise draining() from None
        rule = "error" if answer.reward is None else answer.fallback
        if rule is not None:
            self._fallbacks.labels(dialect=sample.dialect, rule=rule).inc()
        return answer

    async def _alone(self, sample: Sample) -> Answer:
        [answer] = (await self._judge([sample], "alone", sample.reply_by)).answers
        return answer

    async def _join(self, sample: Sample, size: int, park: Callable[[], None]) -> Answer:
        if size > self._config.limits.max_responses:
            most = self._config.limits.max_responses
            raise invalid_request(f"{sample.path}.group_size", f"{size}, at most {most} ([limits] max_responses)")
        if self._config.server.num_processes > 1:
            raise invalid_request(
                f"{sample.path}.group_size",
                "this server cannot join groups: it is one of several processes ([server] workers, replicas)",
            )
        park()
        if sample.outcome is None:
            [outcome] = await find_outcomes(self._group([sample], complete=False), self._checker, sample.reply_by)
            sample = replace(sample, outcome=outcome if isinstance(outcome, bool) else None)
        settings = self.settings_of(sample.dialect)
        deadline = sample.reply_by - settings.reply_timeout_s + settings.join_timeout_s
        return await self.joiner.join(sample.tenant, sample.group_key(), size, sample.label.member_id, sample, deadline)

    def settles(self, payload: Sample) -> bool:
        """A right response shows that the group is mixed: then wrong ones earn 0, whoever else comes."""
        return payload.outcome is True and self._config.shaping.apply_to == "all_negative"

    def when_mixed(self, payload: Sample) -> Answer | None:
        """Right or wrong, where that is known."""
        if payload.outcome is None:
            return None
        return Answer(reward=1.0 if payload.outcome else 0.0, acc=payload.outcome, grouping="joined")

    async def judge(self, members: Sequence[Member[Sample]], complete: bool) -> Judged[Answer]:
        """A joined group, or what there is of it."""
        samples = [member.payload for member in members]
        settled = any(self.settles(sample) for sample in samples)
        # Those who have gone, or who have been answered once, are in no hurry.
        hurry = [member.payload.reply_by for member in members if member.awaited]
        reply_by = min(hurry or [sample.reply_by for sample in samples])
        return await self._judge(samples, "joined" if complete or settled else "incomplete", reply_by)

    async def _judge(self, samples: Sequence[Sample], grouping: Grouping, reply_by: float) -> Judged[Answer]:
        settings, shaping = self.settings_of(samples[0].dialect), self._config.shaping
        unscored = grouping == "incomplete" and self._config.join.incomplete == "unscored"
        complete = grouping == "joined" and not any(self.settles(sample) for sample in samples)
        apply_to = self._apply_to(grouping, complete)
        request = RewardRequest(groups=[self._group(samples, complete)], shaping=ShapingIn(apply_to=apply_to))
        reply = await self._rewards.score(request, samples[0].tenant, deadline=reply_by)
        [group] = reply.groups
        answers = [from_service(out, grouping, group.all_negative) for out in group.responses]
        if unscored:
            return Judged([replace(answer, reward=None, reason=GROUP_INCOMPLETE) for answer in answers], final=False)
        shapes = apply_to == "every_wrong" or (apply_to == "all_negative" and group.all_negative)
        final = not (is_retryable(answers) and settings.on_unscored == "error")
        return Judged(apply_fallback(answers, settings, shaping, shapes=shapes), final)

    def _apply_to(self, grouping: Grouping, complete: bool) -> ApplyTo:
        asked = self._config.shaping.apply_to
        if asked != "all_negative" or complete:
            return asked
        if grouping == "alone" or (grouping == "incomplete" and self._config.join.incomplete == "each_wrong"):
            return "every_wrong"
        return "none"

    def _group(self, samples: Sequence[Sample], complete: bool) -> GroupIn:
        first = samples[0]
        fields = {
            "group_id": first.label.group_id or first.group_key()[:16],
            "problem": first.problem,
            "reference_answer": first.label.answer,
            "reference_solution": first.label.solution,
            "complete": complete,
            "responses": [
                {"id": str(index), "text": sample.response, "outcome": sample.outcome}
                for index, sample in enumerate(samples)
            ],
        }
        return GroupIn.model_validate(fields, context=self._config.limits)


def failed(reason: str, dialect: str) -> ApiError:
    """503 instead of a reward: the trainer's client tries again, and then fails in its own way, not with a number."""
    message = f"not scored: {reason}; for another rule see [dialects.{dialect}] on_unscored and on_unjudgeable"
    return ApiError(503, JUDGE_FAILED, message, {"retry-after": str(RETRY_AFTER_S)})
