"""Ask a policy every problem k times, check the answers, and keep the samples where a killed run goes on from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from eval.policy.problems import Problem
from eval.policy.samples import Failure, SampleRow, policy_failed
from eval.policy.votes import cast_votes
from eval.row_file import append_rows
from judge.answers import AnswerFailure, AnswerItem
from judge.backends.base import Chat, PromptTooLong, Reply, Sampling, TextBackend
from judge.data.labels.monte_carlo import Checker
from judge.errors import ConfigError, JudgeError
from judge.final_answer import final_answer

PROMPT: Final = "{problem}\n\nPlease reason step by step, and put your final answer within \\boxed{}."
"""Of the Qwen2.5-Math evaluation (github.com/QwenLM/Qwen2.5-Math). A trained policy is asked as it was trained."""
MAX_FAILURES_IN_A_ROW: Final = 8
"""So many problems without an answer end the run: the server is down."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How problems are asked."""

    sampling: Sampling
    before: str
    """The user message before the problem."""
    after: str
    chunk_size: int = 1
    """Problems in one call of the policy."""
    num_calls: int = 1
    """Calls at a time."""

    def chat(self, problem: Problem) -> Chat:
        """The chat that the policy answers."""
        return [{"role": "user", "content": self.before + problem.text + self.after}]


def split_prompt(template: str) -> tuple[str, str]:
    """What stands before and after the problem.

    Raises:
        ConfigError: unless ``{problem}`` stands in it exactly once.
    """
    parts = template.split("{problem}")
    if len(parts) != 2:
        raise ConfigError(f"--prompt {template!r}: it must hold {{problem}} exactly once")
    return parts[0], parts[1]


@dataclass
class _Work:
    """What the workers share."""

    policy: TextBackend
    checker: Checker
    plan: Plan
    path: Path
    on_done: Callable[[int], object]
    chunks: Iterator[Sequence[Problem]]
    failures_in_a_row: int = 0
    groups: dict[str, list[SampleRow]] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.failures_in_a_row >= MAX_FAILURES_IN_A_ROW

    async def run(self) -> None:
        """Ask chunk after chunk."""
        for problems in self.chunks:
            started = time.perf_counter()
            replies = await self.policy.generate([self.plan.chat(problem) for problem in problems], self.plan.sampling)
            seconds = (time.perf_counter() - started) / len(problems) / self.plan.num_calls
            for problem, reply in zip(problems, replies, strict=True):
                rows = await sample_rows(problem, reply, seconds, self.plan.sampling, self.checker)
                append_rows(self.path, rows)
                self.groups[problem.id] = rows
                self.failures_in_a_row = self.failures_in_a_row + 1 if policy_failed(rows) else 0
            self.on_done(len(problems))
            if self.is_over:
                return


async def sample_problems(
    problems: Sequence[Problem],
    policy: TextBackend,
    checker: Checker,
    plan: Plan,
    path: Path,
    on_done: Callable[[int], object] = lambda _count: None,
) -> dict[str, list[SampleRow]]:
    """Sample every problem and add the samples to the file at ``path`` as they come.

    Returns:
        The samples of each problem, by its id.

    Raises:
        ModelError: the policy's model cannot be loaded.
        JudgeError: the policy does not answer any more; what it has answered is in the file.
    """
    chunks = (problems[start : start + plan.chunk_size] for start in range(0, len(problems), plan.chunk_size))
    work = _Work(policy, checker, plan, path, on_done, chunks)
    workers = [asyncio.ensure_future(work.run()) for _ in range(plan.num_calls)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    if work.is_over:
        said = next((rows[0].message for rows in reversed(work.groups.values()) if policy_failed(rows)), "")
        raise JudgeError(f"the policy did not answer {MAX_FAILURES_IN_A_ROW} problems in a row ({said})")
    return work.groups


async def sample_rows(
    problem: Problem, reply: Reply, seconds: float, sampling: Sampling, checker: Checker
) -> list[SampleRow]:
    """The k samples of one problem, their answers checked.

    Args:
        seconds: the problem's share of the wall-clock time.
    """
    number = sampling.num_samples
    empty = SampleRow(
        problem=problem.id,
        sample=0,
        prompt_tokens=reply.usage.prompt_tokens / number,
        completion_tokens=reply.usage.completion_tokens / number,
        seconds=seconds / number,
    )
    if reply.error is not None:
        failure = Failure.TOO_LONG if isinstance(reply.error, PromptTooLong) else Failure.POLICY_UNAVAILABLE
        failed = {"failure": failure, "message": str(reply.error)}
        return [empty.model_copy(update={"sample": index, **failed}) for index in range(number)]
    texts = [generation.text for generation in reply.generations]
    outcomes = await checker.check([AnswerItem(text, problem.answer) for text in texts])
    votes = await cast_votes(texts, outcomes, checker)
    rows = []
    for index, (generation, outcome, vote) in enumerate(zip(reply.generations, outcomes, votes, strict=True)):
        facts = {
            "sample": index,
            "text": generation.text,
            "finish_reason": generation.finish_reason,
            "answer": final_answer(generation.text),
            "vote": vote,
        }
        if isinstance(outcome, AnswerFailure):
            facts |= {"failure": Failure.OUTCOME_ERROR, "message": outcome.message}
        else:
            facts["correct"] = outcome
        rows.append(empty.model_copy(update=facts))
    return rows
