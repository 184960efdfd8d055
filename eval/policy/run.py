"""One evaluation of a policy: a folder with ``run.json``, ``samples.jsonl`` and ``summary.json``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from eval.log import SUMMARY_NAME, open_folder, refuse_other_draw, write_summary
from eval.metrics import Sampling
from eval.policy.measures import summarise
from eval.policy.problems import Problem, digest
from eval.policy.samples import SampleRow, resume_samples
from eval.policy.sampling import Plan, sample_problems
from judge.answers import AnswerChecker
from judge.backends.base import TextBackend
from judge.data.splits import hash_position

logger = logging.getLogger(__name__)

SAMPLES_NAME: Final = "samples.jsonl"
NUM_CHECKERS: Final = 2
"""Processes that compare answers."""


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """One evaluation."""

    output: Path
    plan: Plan
    batch_size: int
    """Answers at a time."""
    limit: int | None = None
    """Only so many problems, drawn."""
    bootstrap: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True)
class PolicyIdentity:
    """What must be the same for two runs to share a folder."""

    benchmark: str
    data_digest: str
    policy: str
    k: int
    temperature: float
    max_tokens: int
    seed: int
    prompt: str


def evaluate(
    policy: TextBackend,
    benchmark: str,
    problems: Sequence[Problem],
    options: PolicyOptions,
    facts: Mapping[str, object],
) -> dict[str, Any]:
    """Sample what is not yet in the folder, and write its ``summary.json``. Closes the policy.

    Args:
        facts: more entries for the summary (path, version, command).

    Raises:
        ConfigError: the folder holds another run.
        ModelError: the policy's model cannot be loaded.
        JudgeError: the policy does not answer any more; the same call goes on from there.
    """
    plan = options.plan
    identity = PolicyIdentity(
        benchmark,
        digest(problems),
        policy.name,
        plan.sampling.num_samples,
        plan.sampling.temperature,
        plan.sampling.max_tokens,
        plan.sampling.seed,
        f"{plan.before}{{problem}}{plan.after}",
    )
    problems = drawn(problems, options.limit, plan.sampling.seed)
    open_folder(options.output, identity)
    path = options.output / SAMPLES_NAME
    finished = resume_samples(path, plan.sampling.num_samples)
    refuse_other_draw(path, finished, (problem.id for problem in problems))
    todo = [problem for problem in problems if problem.id not in finished]
    if len(todo) < len(problems):
        logger.info("%s: %d of %d problems are done, going on", path, len(problems) - len(todo), len(problems))
    groups = finished | asyncio.run(_sample(policy, todo, plan, path))
    summary = (
        summarise([groups[problem.id] for problem in problems], options.bootstrap) | asdict(identity) | dict(facts)
    )
    write_summary(options.output / SUMMARY_NAME, summary)
    return summary


def drawn(problems: Sequence[Problem], limit: int | None, seed: int) -> list[Problem]:
    """So many problems, in their order; all for None. More of them hold all that fewer hold."""
    chosen = sorted(problems, key=lambda problem: hash_position(problem.id, seed, "limit"))[:limit]
    names = {problem.id for problem in chosen}
    return [problem for problem in problems if problem.id in names]


async def _sample(
    policy: TextBackend, problems: Sequence[Problem], plan: Plan, path: Path
) -> dict[str, list[SampleRow]]:
    from tqdm import tqdm

    checker = AnswerChecker(num_workers=NUM_CHECKERS)
    try:
        with tqdm(total=len(problems), desc="sampling", unit="problem", disable=None) as bar:
            return await sample_problems(problems, policy, checker, plan, path, bar.update)
    finally:
        await checker.aclose()
        await policy.aclose()
