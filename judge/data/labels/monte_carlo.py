"""Monte-Carlo step labels (Math-Shepherd, arXiv 2312.08935).

A policy goes on from every prefix of a response, several times. P(correct | prefix) is the share of its endings whose
final answer is right; the first step after which it falls to zero is taken for the first error. Such labels need
nobody, and are noisy: a policy may reach the right answer from a wrong step, or fail from a right one.

The last prefix is the response itself: nothing is left to sample, its own answer decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from pydantic import Field

from judge.answers import AnswerFailure, AnswerItem
from judge.backends.base import Chat, Reply, Sampling, TextBackend
from judge.settings import Settings
from judge.types import NO_ERROR, Record, Usage

VERSION: Final = 1
"""Changes whenever the same rollouts may give another label."""


class RolloutSettings(Settings):
    """How prefixes are rolled out."""

    num_rollouts: int = Field(default=8, ge=1)
    """Endings of each prefix."""
    threshold: float = Field(default=0.0, ge=0, lt=1)
    """The first step after which P(correct | prefix) is not above this is the first error. 0 makes the cleanest
    labels: one success shows that a prefix can still be right."""
    stop_early: bool = True
    """Roll out no prefix behind the first error: cheaper, and the label is the same."""
    temperature: float = Field(default=0.7, gt=0)
    max_tokens: int = Field(default=512, ge=1)
    """Tokens of one ending; one that is cut off counts by the answer it has stated until then."""
    seed: int = 0
    instruction: str = "Reason step by step, and put the final answer in \\boxed{}."
    """Follows the problem in the prompt."""
    separator: str = "\n"
    """Between the steps of a prefix, and behind its last one."""

    @property
    def sampling(self) -> Sampling:
        """For the policy."""
        return Sampling(self.num_rollouts, self.temperature, self.max_tokens, self.seed)

    def fingerprint(self, policy: str) -> str:
        """Names everything that can change a label."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]
        return f"rollout@{VERSION}+{policy}+{digest}"


class Checker(Protocol):
    """What is asked of `judge.answers.AnswerChecker`."""

    async def check(self, items: Sequence[AnswerItem]) -> list[bool | AnswerFailure]:
        """Whether each response's final answer is right, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Tally:
    """The endings of one prefix."""

    num_correct: int
    num_checked: int
    """Endings whose answer could be checked."""
    num_cut: int = 0
    """Endings that `RolloutSettings.max_tokens` cut off."""

    @property
    def share(self) -> float:
        """P(correct | prefix)."""
        return self.num_correct / self.num_checked


@dataclass(slots=True)
class Progress:
    """How far a response is: the tallies of its prefixes so far."""

    record: Record
    settings: RolloutSettings
    tallies: list[Tally] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    failure: str = ""
    """Why there will be no label."""
    retryable: bool = False

    @property
    def first_error(self) -> int | None:
        """The first prefix at or below the threshold; None when there is none yet."""
        zeros = (i for i, tally in enumerate(self.tallies) if tally.share <= self.settings.threshold)
        return next(zeros, None)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to roll out."""
        stopped = self.settings.stop_early and self.first_error is not None
        return bool(self.failure) or stopped or len(self.tallies) == len(self.record.steps)

    @property
    def label(self) -> int | None:
        """The label of a finished response; None when it failed."""
        if self.failure:
            return None
        return NO_ERROR if self.first_error is None else self.first_error

    def wanted(self) -> range:
        """Indices of the steps behind which to roll out next."""
        start = len(self.tallies)
        if self.finished:
            return range(start, start)
        return range(start, start + 1 if self.settings.stop_early else len(self.record.steps))

    def chat(self, step: int) -> Chat:
        """The problem, and the response up to a step, which the policy goes on with."""
        prompt = f"{self.record.problem}\n{self.settings.instruction}"
        return [{"role": "user", "content": prompt}, {"role": "assistant", "content": self.prefix(step)}]

    def prefix(self, step: int) -> str:
        """The response up to a step, that one included."""
        separator = self.settings.separator
        return separator.join(self.record.steps[: step + 1]) + separator


async def advance(window: Sequence[Progress], policy: TextBackend, checker: Checker) -> None:
    """Roll out the next prefixes of all responses of the window together, and count their right answers."""
    jobs = [(progress, step) for progress in window for step in progress.wanted()]
    begun = [progress.chat(step) for progress, step in jobs if step < len(progress.record.steps) - 1]
    replies = iter(await policy.generate(begun, window[0].settings.sampling) if begun else [])
    for progress, step in jobs:
        is_last = step == len(progress.record.steps) - 1
        reply = None if is_last else next(replies)
        if not progress.failure:
            await _count(progress, step, reply, checker)


async def _count(progress: Progress, step: int, reply: Reply | None, checker: Checker) -> None:
    """Take in one prefix's endings; without a reply, the whole response as its own and only ending."""
    if reply is not None:
        progress.usage += reply.usage
        if reply.error is not None:
            progress.failure, progress.retryable = f"step {step}: {reply.error}", reply.error.retryable
            return
    reference = progress.record.reference_answer or ""
    endings = [""] if reply is None else [generation.text for generation in reply.generations]
    prefix = progress.prefix(step)
    outcomes = await checker.check([AnswerItem(prefix + ending, reference) for ending in endings])
    checked = [outcome for outcome in outcomes if not isinstance(outcome, AnswerFailure)]
    if not checked:
        said = next((outcome.message for outcome in outcomes if isinstance(outcome, AnswerFailure)), "no ending")
        progress.failure = f"step {step}: no answer could be checked ({said})"
        return
    num_cut = sum(generation.finish_reason == "length" for generation in reply.generations) if reply else 0
    progress.tallies.append(Tally(sum(checked), len(checked), num_cut))
