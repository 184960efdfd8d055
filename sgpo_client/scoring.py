"""The reward phase: responses to the server, scores back, as one group per problem."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from sgpo_client.errors import RewardUnavailable
from sgpo_client.types import Problem, Rollout, ScoredGroup
from sgpo_client.wire import GroupScores, ItemError, RewardGroup, RewardResponse, ShapingParams

logger = logging.getLogger(__name__)

JUDGE_DOWN = frozenset({"judge_unavailable", "judge_timeout"})
"""Errors of a response that speak of the judge, not of the response."""

Group = tuple[Problem, list[Rollout]]


class Scores(Protocol):
    """What of a `RewardClient` is asked for here."""

    def score(
        self, groups: Sequence[RewardGroup], shaping: ShapingParams, include_steps: bool = False
    ) -> list[GroupScores]:
        """See `RewardClient.score`; called by several threads."""
        ...


def score_groups(
    client: Scores, groups: Sequence[Group], shaping: ShapingParams, deadline_s: float, pause_s: float = 5.0
) -> list[ScoredGroup]:
    """Ask the reward server about every group.

    Single responses that the judge failed on come back unscored. When it failed on all of them it is down: training on
    would waste the run, so the server is asked again every ``pause_s`` seconds for ``deadline_s``.

    Raises:
        RewardError: when there were no rewards before the deadline. Nothing is counted as 0.
    """
    wire_groups = [to_wire(index, group) for index, group in enumerate(groups)]
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
    return [scored(group, row) for group, row in zip(groups, scores, strict=True)]


class GroupsUnderWay:
    """Groups that are sent to the reward server one by one, while others are still being sampled.

    Args:
        client: of the server.
        pool: its threads wait for the server's replies.
        shaping: what wrong responses are paid.
        deadline_s: see `score_groups`.
    """

    def __init__(self, client: Scores, pool: ThreadPoolExecutor, shaping: ShapingParams, deadline_s: float) -> None:
        self._client = client
        self._pool = pool
        self._shaping = shaping
        self._deadline_s = deadline_s
        self._groups: dict[int, tuple[Group, Future[list[GroupScores]]]] = {}

    def send(self, position: int, group: Group) -> None:
        """Ask about one group; does not wait. The results are in the order of positions."""
        include_steps = self._shaping.apply_to != "none"
        future = self._pool.submit(self._client.score, [to_wire(position, group)], self._shaping, include_steps)
        self._groups[position] = group, future

    def results(self) -> list[ScoredGroup]:
        """Wait for the scores of every group sent. Raises as `score_groups`."""
        ordered = [self._groups[position] for position in sorted(self._groups)]
        scores = [score for _, future in ordered for score in future.result()]
        groups = [group for group, _ in ordered]
        if judge_failure(scores) is not None:
            return score_groups(self._client, groups, self._shaping, self._deadline_s)
        return [scored(group, row) for group, row in zip(groups, scores, strict=True)]


def judge_failure(scores: Sequence[GroupScores]) -> ItemError | None:
    """Why the judge is down: the first such error where it judged nothing at all; None while it works."""
    responses = [response for group in scores for response in group.responses]
    if any(response.status == "judged" for response in responses):
        return None
    errors = [response.error for response in responses if response.error is not None]
    return next((error for error in errors if error.code in JUDGE_DOWN), None)


def scored(group: Group, scores: GroupScores) -> ScoredGroup:
    """A group with what the server said of it."""
    problem, rollouts = group
    return ScoredGroup(
        problem=problem, rollouts=rollouts, scores=list(scores.responses), all_negative=scores.all_negative
    )


def to_wire(position: int, group: Group) -> RewardGroup:
    """What the server is asked about a group.

    The position is part of the id: a problem can stand in a batch twice when an epoch ends inside it.
    """
    problem, rollouts = group
    return RewardGroup(
        group_id=f"{position}:{problem.id}",
        problem=problem.text,
        reference_answer=problem.answer,
        reference_solution=problem.solution,
        responses=tuple(RewardResponse(id=str(index), text=rollout.text) for index, rollout in enumerate(rollouts)),
    )
