"""Final-answer accuracy of the policy on held-out problems, by greedy decoding."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from sgpo_client.reward_client import RewardClient
from sgpo_client.rollout.prompt import PromptBuilder
from sgpo_client.rollout.sampler import Sampler, SamplingParams
from sgpo_client.scoring import score_groups
from sgpo_client.types import Problem
from sgpo_client.wire import ShapingParams

MARKS: Final = {1: "1", 0: "0", None: "-"}


@dataclass(frozen=True, slots=True)
class EvalResult:
    """What came of some problems."""

    answers: str
    """One character per problem, in order: 1 right, 0 wrong, - could not be checked."""
    num_tokens: int = 0
    num_truncated: int = 0


def evaluate(
    sampler: Sampler,
    prompts: PromptBuilder,
    client: RewardClient,
    problems: Sequence[Problem],
    params: SamplingParams,
) -> EvalResult:
    """Answer every problem once and let the reward server check the final answers (nothing is judged)."""
    rollouts = sampler.sample([prompts.token_ids(problem) for problem in problems], params, seed=0)
    groups = [(problem, [rollout]) for problem, rollout in zip(problems, rollouts, strict=True)]
    scored = score_groups(client, groups, ShapingParams(apply_to="none"), deadline_s=0)  # no judge to wait for
    return EvalResult(
        answers="".join(MARKS[group.scores[0].acc] for group in scored),
        num_tokens=sum(len(rollout.response_ids) for rollout in rollouts),
        num_truncated=sum(rollout.truncated for rollout in rollouts),
    )


def merged(results: Sequence[EvalResult]) -> EvalResult:
    """The ranks' results as one. Rank r of n had the problems r, r + n, r + 2n ...

    >>> merged([EvalResult("11"), EvalResult("0")]).answers
    '101'
    """
    return EvalResult(
        answers="".join(mark for marks in zip_longest(*(part.answers for part in results)) for mark in marks if mark),
        num_tokens=sum(part.num_tokens for part in results),
        num_truncated=sum(part.num_truncated for part in results),
    )


def eval_row(step: int, result: EvalResult, problems: Sequence[Problem]) -> dict[str, Any]:
    """The row of ``eval.jsonl``; accuracy is None when no answer could be checked."""
    num_correct, num_known = result.answers.count("1"), len(result.answers) - result.answers.count("-")
    return {
        "step": step,
        "accuracy": num_correct / num_known if num_known else None,
        "num_correct": num_correct,
        "num_problems": num_known,
        "num_unscored": result.answers.count("-"),
        "response_tokens_mean": result.num_tokens / len(problems),
        "truncated_share": result.num_truncated / len(problems),
        "problems": problems_digest(problems),
        "answers": result.answers,
    }


def problems_digest(problems: Sequence[Problem]) -> str:
    """16 hex digits that are equal where the same problems with the same answers stand in the same order."""
    texts = [(problem.text, problem.answer) for problem in problems]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]
