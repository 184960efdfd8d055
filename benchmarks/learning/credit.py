"""From responses to the advantages of their tokens, with the functions of the trainer and of the reward server."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.learning.arms import Arm
from benchmarks.learning.oracle import Truth
from judge.defences import typical_length
from judge.shaping import group_rewards, is_all_negative
from sgpo_client.advantage import all_negative_weight, scored_group_advantages
from sgpo_client.credit import prefix_advantages
from sgpo_client.types import Problem, ScoredGroup
from sgpo_client.wire import ResponseScore, Status

PROBLEM = Problem("", "", "")


class Facts:
    """What scoring reads of the truth, as lists: element by element a tensor is slow."""

    def __init__(self, truth: Truth) -> None:
        self.correct: list[bool] = truth.correct.tolist()
        self.num_steps: list[int] = truth.num_steps.tolist()
        self.num_claims: list[int] = truth.num_claims.tolist()
        self.claims_before: list[list[int]] = truth.claims_before.tolist()


def paid_share(arm: Arm, facts: Facts, row: int, named: int, typical: float | None) -> float:
    """The RTS that is paid: the share of the response before the step that the judge names."""
    if not arm.defended:
        return named / max(1, facts.num_steps[row])
    return facts.claims_before[row][named] / max(1.0, facts.num_claims[row], typical or 0.0)


def score_group(
    arm: Arm, facts: Facts, rows: Sequence[int], named: Sequence[int | None], reference_steps: int | None
) -> ScoredGroup:
    """What the reward server would say of the responses ``rows`` to one problem.

    Args:
        arm: shaping and whose wrong responses are judged.
        facts: of the batch.
        rows: the group's.
        named: [B] of the batch, the step that the judge names; None: no verdict.
        reference_steps: length of a reference solution, None where there is none.
    """
    outcomes = [facts.correct[row] for row in rows]
    typical = typical_length([facts.num_claims[row] for row in rows if not facts.correct[row]], reference_steps)
    steps = [None if facts.correct[row] else named[row] for row in rows]
    pairs = list(zip(rows, steps, strict=True))
    shares = [None if step is None else paid_share(arm, facts, row, step, typical) for row, step in pairs]
    rewards = group_rewards(outcomes, shares, arm.curve, arm.groups)
    all_negative = is_all_negative(outcomes)
    is_judged = arm.groups == "every_wrong" or (arm.groups == "all_negative" and all_negative)
    scores = []
    for reward, right, step in zip(rewards, outcomes, steps, strict=True):
        status: Status = "correct" if right else "unscored" if reward is None else "judged" if is_judged else "wrong"
        scores.append(ResponseScore("", reward, status, int(right), first_error=step if is_judged else None))
    return ScoredGroup(PROBLEM, [], scores, all_negative)


def token_advantages(
    arm: Arm, group: ScoredGroup, num_tokens: Sequence[int], width: int, progress: tuple[int, int]
) -> torch.Tensor:
    """[G, width] advantages of the tokens of a group's responses.

    Args:
        arm: algorithm and ``[sgpo]``.
        group: with its scores.
        num_tokens: [G] of each response.
        width: R.
        progress: finished steps and all steps of the run, for the schedule of the weight.
    """
    table = arm.sgpo_table
    advantages = scored_group_advantages(group, arm.algo_table.resolved, table, all_negative_weight(table, *progress))
    out = torch.zeros(len(advantages), width)
    for row, (advantage, score, length) in enumerate(zip(advantages, group.scores, num_tokens, strict=True)):
        if table.credit == "response" or score.first_error is None:
            out[row, :length] = advantage
        else:
            # A step is a token here.
            out[row, :length] = torch.tensor(
                prefix_advantages(advantage, length, score.first_error, table.suffix_penalty)
            )
    return out
