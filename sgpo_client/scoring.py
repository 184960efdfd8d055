"""The reward phase: responses to the server, scores back, as one group per problem."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from sgpo_client.errors import RewardUnavailable
from sgpo_client.reward_client import RewardClient
from sgpo_client.types import Problem, Rollout, ScoredGroup
from sgpo_client.wire import GroupScores, ItemError, RewardGroup, RewardResponse, ShapingParams

logger = logging.getLogger(__name__)

JUDGE_DOWN = frozenset({"judge_unavailable", "judge_timeout"})
"""Errors of a response that speak of the judge, not of the response."""


def score_groups(
    client: RewardClient,
    groups: Sequence[tuple[Problem, list[Rollout]]],
    shaping: ShapingParams,
    deadline_s: float,
    pause_s: float = 5.0,
) -> list[ScoredGroup]:
    """Ask the reward server about every group.

    Single responses that the judge failed on come back unscored. When it failed on all of them it is down: training on
    would waste the run, so the server is asked again every ``pause_s`` seconds for ``deadline_s``.

    Raises:
        RewardError: when there were no rewards before the deadline. Nothing is counted as 0.
    """
    # The position is part of the id: a problem can stand in a batch twice when an epoch ends inside it.
    wire_groups = [
        _to_wire(f"{index}:{problem.id}", problem, rollouts) for index, (problem, rollouts) in enumerate(groups)
    ]
    started = time.monotonic()
    while True:
        scores = client.score(wire_groups, shaping, include_steps=shaping.apply_to != "none")
        failure = judge_failure(scores)
        if failure is None:
            break
        if time.monotonic() + pause_s > started + deadline_s:
            raise RewardUnavailable(
                f"the reward server answers, but its judge does not: {failure.message} ({failure.code}); asked for "
                f"{deadline_s:g} s (reward.deadline_s); bring the judge back, or change [judge] in the server's "
                "configuration"
            )
        logger.warning("the judge does not answer: %s; asking again in %g s", failure.message, pause_s)
        time.sleep(pause_s)
    return [
        ScoredGroup(problem=problem, rollouts=rollouts, scores=list(group.responses), all_negative=group.all_negative)
        for (problem, rollouts), group in zip(groups, scores, strict=True)
    ]


def judge_failure(scores: Sequence[GroupScores]) -> ItemError | None:
    """Why the judge is down: the first such error where it judged nothing at all; None while it works."""
    responses = [response for group in scores for response in group.responses]
    if any(response.status == "judged" for response in responses):
        return None
    errors = [response.error for response in responses if response.error is not None]
    return next((error for error in errors if error.code in JUDGE_DOWN), None)


def _to_wire(group_id: str, problem: Problem, rollouts: list[Rollout]) -> RewardGroup:
    return RewardGroup(
        group_id=group_id,
        problem=problem.text,
        reference_answer=problem.answer,
        reference_solution=problem.solution,
        responses=tuple(RewardResponse(id=str(index), text=rollout.text) for index, rollout in enumerate(rollouts)),
    )
