"""The dialects' scorer without HTTP, over the real reward service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from judge.shaping import ApplyTo
from reward_server.app import create_app
from reward_server.config import ServerConfig
from reward_server.dialects.answers import Answer
from reward_server.dialects.base import Label, Sample
from reward_server.dialects.scoring import SampleScorer
from reward_server.edge.auth import KeyRing
from reward_server.schemas import RewardRequest
from tests.unit.service_calls import Counting

PROBLEM = "What is 40 + 2?"


class Desk:
    """A scorer, its judge, and short names."""

    def __init__(self, scorer: SampleScorer, judge: Counting, registry: Any) -> None:
        self.scorer = scorer
        self.judge = judge
        self.registry = registry
        self.rewards = scorer._rewards
        self.parked = 0

    def send(
        self, text: str, outcome: bool | None = False, *, size: int | None = None, **label: Any
    ) -> asyncio.Task[Answer]:
        """Post a response; the task ends with its answer."""
        problem = label.pop("problem", PROBLEM)
        dialect = label.pop("dialect", "openrlhf")
        timeout = self.scorer.settings_of(dialect).reply_timeout_s
        reply_by = asyncio.get_running_loop().time() + label.pop("reply_in", timeout)
        sample = Sample(
            problem=problem,
            response=text,
            path="labels[0]",
            label=Label(group_size=size, outcome=outcome, **label),
            dialect=dialect,
            reply_by=reply_by,
            outcome=outcome,
        )
        return asyncio.create_task(self.scorer.score(sample, self._park))

    async def group(self, *responses: tuple[str, bool | None], **label: Any) -> list[Answer]:
        """All answers to one group, in order."""
        tasks = [
            self.send(text, outcome, size=len(responses), member_id=str(index), **label)
            for index, (text, outcome) in enumerate(responses)
        ]
        return await asyncio.wait_for(asyncio.gather(*tasks), 60)

    async def whole(self, *texts: str, apply_to: ApplyTo = "all_negative", complete: bool = True) -> list[float | None]:
        """What ``/v1/rewards`` gives the wrong responses of one group, to six decimals; the judge is not counted."""
        responses = [{"id": str(i), "text": text, "outcome": False} for i, text in enumerate(texts)]
        group = {"group_id": "g", "problem": PROBLEM, "complete": complete, "responses": responses}
        request = RewardRequest.model_validate({"groups": [group], "shaping": {"apply_to": apply_to}})
        asked = list(self.judge.asked)
        reply = await self.rewards.score(request)
        self.judge.asked = asked
        rewards = [response.reward for response in reply.groups[0].responses]
        return [None if reward is None else round(reward, 6) for reward in rewards]

    def _park(self) -> None:
        self.parked += 1


@asynccontextmanager
async def scoring(judge: Any, **config: Any) -> AsyncIterator[Desk]:
    """A desk with this judge and configuration: the app's own parts, without its HTTP."""
    counting = Counting(judge)
    config.setdefault("page", {"enabled": False})
    app = create_app(ServerConfig.model_validate(config), counting, KeyRing())
    async with app.router.lifespan_context(app):
        yield Desk(app.state.dialects.scorer, counting, app.state.services.metrics.registry)
