"""Scored groups to what the loss reads."""

from __future__ import annotations

from collections.abc import Sequence

from sgpo_client.credit import Decode, token_advantages
from sgpo_client.loss import BatchSize
from sgpo_client.settings.sgpo import Credit
from sgpo_client.types import Example, ScoredGroup


def make_examples(
    groups: Sequence[ScoredGroup],
    advantages: Sequence[Sequence[float]],
    decode: Decode,
    *,
    credit: Credit,
    suffix_penalty: float = 0.0,
    mask_truncated: bool = False,
) -> tuple[list[Example], BatchSize]:
    """Examples of this rank's groups, and what of them the loss is divided by.

    Unscored responses are left out of both; with ``mask_truncated`` so are those cut off at the token limit.

    Args:
        groups: with their scores.
        advantages: [groups][G] one for each response.
        decode: token ids of a response to its text, before stripping.
        credit: how a judged response's advantage is spread over its tokens.
        suffix_penalty: see `SgpoTable`.
        mask_truncated: see `AlgoTable`.
    """
    examples = []
    for group, row in zip(groups, advantages, strict=True):
        for rollout, score, advantage in zip(group.rollouts, group.scores, row, strict=True):
            if score.reward is None or not rollout.response_ids or (mask_truncated and rollout.truncated):
                continue
            tokens = token_advantages(rollout, score, advantage, credit, suffix_penalty, decode)
            examples.append(
                Example(
                    rollout.prompt_ids,
                    rollout.response_ids,
                    tokens,
                    sampler_logprobs=getattr(rollout, "logprobs", None),
                )
            )
    return examples, BatchSize(sum(len(example.response_ids) for example in examples), len(examples))
