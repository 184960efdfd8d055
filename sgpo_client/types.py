"""The trainer's data, in the order in which it flows: problem, rollout, score, training example.

Shapes: ``[P]`` prompt tokens, ``[R]`` response tokens (the end-of-sequence token included when it was sampled).
"""

from __future__ import annotations

from dataclasses import dataclass

from sgpo_client.wire import ResponseScore


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem whose final answer can be checked.

    >>> Problem(id="gsm8k-0", text="What is 2 + 3?", answer="5").answer
    '5'
    """

    id: str
    text: str
    answer: str
    solution: str | None = None
    """A worked reference solution, where the data has one."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled response to a problem."""

    prompt_ids: list[int]
    """[P] token ids of the chat-templated prompt."""
    response_ids: list[int]
    """[R] sampled token ids."""
    text: str
    """The response decoded without special tokens: what the reward server reads."""
    truncated: bool
    """True when sampling stopped at the token limit, not at an end-of-sequence token."""
    logprobs: list[float] | None = None
    """[R] log-probabilities that the tokens were drawn with, where the sampler was asked for them."""


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """All responses to one problem with what the reward server said of each, in the same order."""

    problem: Problem
    rollouts: list[Rollout]
    scores: list[ResponseScore]
    all_negative: bool


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence for the loss."""

    prompt_ids: list[int]
    """[P]"""
    response_ids: list[int]
    """[R] every one of these tokens is trained on."""
    advantages: list[float]
    """[R]; all 0 where there is nothing to learn but a reference model may pull."""
    old_logprobs: list[float] | None = None
    """[R] log-probabilities under the policy that is the centre of the clipping range; None means the present one."""
    sampler_logprobs: list[float] | None = None
    """[R] log-probabilities that the sampler drew with, where it is another program or an older policy."""

    @property
    def has_advantage(self) -> bool:
        """Whether any token has an advantage other than 0."""
        return any(self.advantages)

    @property
    def num_tokens(self) -> int:
        """P + R."""
        return len(self.prompt_ids) + len(self.response_ids)
