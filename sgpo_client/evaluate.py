"""Final-answer accuracy of the policy on held-out problems, by greedy decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sgpo_client.reward_client import RewardClient
from sgpo_client.rollout.hf import HFSampler, SamplingParams
from sgpo_client.rollout.prompt import PromptBuilder
from sgpo_client.scoring import score_groups
from sgpo_client.types import Problem
from sgpo_client.wire import ShapingParams


@dataclass(frozen=True, slots=True)
class EvalCounts:
    """How many answers were right; those that could not be checked are counted apart."""

    num_correct: int
    num_problems: int
    num_unscored: int = 0


def evaluate(
    sampler: HFSampler,
    prompts: PromptBuilder,
    client: RewardClient,
    problems: Sequence[Problem],
    params: SamplingParams,
) -> EvalCounts:
    """Answer every problem once and let the reward server check the final answers (nothing is judged)."""
    rollouts = sampler.sample([prompts.token_ids(problem) for problem in problems], params, seed=0)
    groups = [(problem, [rollout]) for problem, rollout in zip(problems, rollouts, strict=True)]
    scored = score_groups(client, groups, ShapingParams(apply_to="none"), deadline_s=0)  # no judge to wait for
    accs = [group.scores[0].acc for group in scored]
    known = [acc for acc in accs if acc is not None]
    return EvalCounts(num_correct=sum(known), num_problems=len(known), num_unscored=len(accs) - len(known))
