"""The reward phase: responses to the server, scores back, as one group per problem."""

from __future__ import annotations

from collections.abc import Sequence

from sgpo_client.reward_client import RewardClient
from sgpo_client.types import Problem, Rollout, ScoredGroup
from sgpo_client.wire import RewardGroup, RewardResponse, ShapingParams


def score_groups(
    client: RewardClient, groups: Sequence[tuple[Problem, list[Rollout]]], shaping: ShapingParams
) -> list[ScoredGroup]:
    """Ask the reward server about every group.

    Raises:
        RewardError: when the server gave no rewards before the client's deadline. Nothing is counted as 0.
    """
    # The position is part of the id: a problem can stand in a batch twice when an epoch ends inside it.
    wire_groups = [
        _to_wire(f"{index}:{problem.id}", problem, rollouts) for index, (problem, rollouts) in enumerate(groups)
    ]
    scores = client.score(wire_groups, shaping, include_steps=shaping.apply_to != "none")
    return [
        ScoredGroup(problem=problem, rollouts=rollouts, scores=list(group.responses), all_negative=group.all_negative)
        for (problem, rollouts), group in zip(groups, scores, strict=True)
    ]


def _to_wire(group_id: str, problem: Problem, rollouts: list[Rollout]) -> RewardGroup:
    return RewardGroup(
        group_id=group_id,
        problem=problem.text,
        reference_answer=problem.answer,
        reference_solution=problem.solution,
        responses=tuple(RewardResponse(id=str(index), text=rollout.text) for index, rollout in enumerate(rollouts)),
    )
