"""Calls of the reward service without HTTP: judges, groups of responses, and who asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from judge.answers import AnswerChecker
from judge.judges.scripted import ScriptedJudge, ScriptedSettings
from judge.types import Solution, Unscored, Verdict
from reward_server.config import ServerConfig
from reward_server.engine.judging import JudgeDesk
from reward_server.metrics import Metrics
from reward_server.schemas import RewardReply, RewardRequest
from reward_server.service import RewardService
from reward_server.solutions import Segmenter

Ask = Callable[..., Any]


class Counting:
    """Any judge, with a record of what it was asked."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.asked: list[Solution] = []

    @property
    def judge_id(self) -> str:
        return str(self.inner.judge_id)

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        self.asked.extend(batch)
        return list(await self.inner.judge(batch))

    async def aclose(self) -> None:
        await self.inner.aclose()


def scripted(**changes: Any) -> ScriptedJudge:
    return ScriptedJudge(ScriptedSettings(**changes))


def text(num_steps: int, wrong_at: int | None) -> str:
    """A response of so many steps, one of which the scripted judge takes for wrong."""
    return "\n".join(
        f"Line {index} is {'WRONG as can be' if index == wrong_at else 'as right as can be'}."
        for index in range(num_steps)
    )


def group(*responses: tuple[str, bool | None], **changes: Any) -> dict[str, Any]:
    items = [{"id": str(i), "text": body, "outcome": outcome} for i, (body, outcome) in enumerate(responses)]
    return {"group_id": "g", "problem": "What is 47 - 5?", "responses": items} | changes


T, F = True, False
A, B, C = text(4, 1), text(4, 3), text(5, 0)
"""First errors: step 1 of 4, step 3 of 4, step 0 of 5."""


@asynccontextmanager
async def serving() -> AsyncIterator[Ask]:
    """``await ask(judge, groups, shaping=..., config=...)`` -> the reply."""
    checker = AnswerChecker()

    async def ask(
        judge: Any, *groups: dict[str, Any], config: dict[str, Any] | None = None, **request: Any
    ) -> RewardReply:
        settings = ServerConfig.model_validate(config or {})
        metrics = Metrics()
        desk = JudgeDesk(judge, metrics, settings.server.max_concurrent_judge_calls)
        service = RewardService(settings, desk, Segmenter(), checker, metrics, lambda step: len(step.split()))
        ask.metrics = metrics  # type: ignore[attr-defined]
        return await service.score(RewardRequest.model_validate({"groups": list(groups), **request}))

    try:
        yield ask
    finally:
        await checker.aclose()
