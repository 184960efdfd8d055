"""One pasted group: its rewards by the group rule, and a verdict on every response that the rule left unjudged."""

from __future__ import annotations

import asyncio

from judge.types import UnscoredReason
from reward_server.engine.judging import Timing
from reward_server.schemas import GroupIn, JudgeItem, JudgeRequest, ResponseOut, RewardRequest, ShapingIn, Wire
from reward_server.service import RewardService
from reward_server.solutions import Segmenter
from reward_server.verdicts import VerdictService
from reward_server.web.recent import KeptGroup, ScoredGroup
from reward_server.web.view import GroupView, VerdictView, group_view

SEGMENT_TIMEOUT_S = 20.0
UNKNOWN_OUTCOME = frozenset({UnscoredReason.NO_ANSWER.value, UnscoredReason.OUTCOME_ERROR.value})


class ExplainRequest(Wire):
    """Body of ``POST /v1/explain``."""

    group: GroupIn
    shaping: ShapingIn = ShapingIn()


class Explainer:
    """Makes the page's views of groups. What a person tries out here is in no count and in no list."""

    def __init__(self, rewards: RewardService, verdicts: VerdictService, segmenter: Segmenter, judge_id: str) -> None:
        self._rewards = rewards
        self._verdicts = verdicts
        self._segmenter = segmenter
        self._judge_id = judge_id

    async def explain(self, request: ExplainRequest, tenant: str) -> GroupView:
        """Score and judge one group for the holder of a key.

        Raises:
            reward_server.errors.ApiError: 422, when the request asks for a shaping that cannot be had.
        """
        # Not validated a second time: the server's own limits, which may be wider, are already met.
        wanted = RewardRequest.model_construct(groups=[request.group], shaping=request.shaping, include_steps=True)
        [scored] = await self._rewards.score_unseen(wanted, Timing(), tenant=tenant)
        return await self._view(scored, await self._judge_the_rest(scored, tenant), None)

    async def open(self, kept: KeptGroup) -> GroupView:
        """A kept group; asks the judge nothing."""
        return await self._view(kept.scored, {}, kept)

    async def _judge_the_rest(self, scored: ScoredGroup, tenant: str) -> dict[int, VerdictView]:
        rest = [index for index, out in enumerate(scored.out.responses) if is_left_out(out)]
        if not rest:
            return {}
        asked = scored.asked
        items = [
            JudgeItem.model_construct(
                id=str(index),
                problem=asked.problem,
                text=asked.responses[index].text,
                steps=None,
                reference_answer=asked.reference_answer,
                reference_solution=asked.reference_solution,
                known_wrong=scored.out.responses[index].acc == 0,
            )
            for index in rest
        ]
        reply = await self._verdicts.judge(
            JudgeRequest.model_construct(items=items, include_steps=False), tenant=tenant
        )
        found = zip(rest, reply.items, strict=True)
        return {index: VerdictView.of(out, for_show=True) for index, out in found if out.status == "judged"}

    async def _view(self, scored: ScoredGroup, extra: dict[int, VerdictView], kept: KeptGroup | None) -> GroupView:
        deadline = asyncio.get_running_loop().time() + SEGMENT_TIMEOUT_S
        texts = [response.text for response in scored.asked.responses]
        steps = await self._segmenter.segment_all(texts, deadline)
        return group_view(scored, steps, self._judge_id, extra, kept)


def is_left_out(out: ResponseOut) -> bool:
    """True for a response that the group rule did not show to the judge.

    >>> is_left_out(ResponseOut(id="0", reward=1.0, acc=1, status="correct"))
    True
    """
    unknown = out.error is not None and out.error.code in UNKNOWN_OUTCOME
    return out.status in ("correct", "wrong") or unknown
