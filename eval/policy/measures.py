"""avg@k and maj@k: pure functions of what is known of each sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from eval.bootstrap import Clusters, SumStatistic, interval, ratio, resample
from eval.metrics import Sampling
from eval.policy.samples import SampleRow, policy_failed


def average(correct: Sequence[bool | None]) -> float | None:
    """Share of right samples of one problem, over the samples of which something is known; None when there are none."""
    known = [outcome for outcome in correct if outcome is not None]
    return sum(known) / len(known) if known else None


def majority(votes: Sequence[int | None], correct: Sequence[bool | None]) -> float | None:
    """Probability that the most frequent answer of one problem is right, when ties are broken at random.

    Args:
        votes: for each sample the index of the first sample with an equal answer (`eval.policy.votes`), or None.
        correct: for each sample whether it is right, None when nothing is known.

    Returns:
        0 when no sample has an answer; None when nothing is known of any sample.

    >>> majority([0, 1, 0, 1, 4], [True, False, True, False, False])
    0.5
    """
    if all(outcome is None for outcome in correct):
        return None
    counts = Counter(vote for vote in votes if vote is not None)
    if not counts:
        return 0.0
    most = max(counts.values())
    tied = [bool(correct[vote]) for vote, count in counts.items() if count == most]
    return sum(tied) / len(tied)


def mean_interval(values: Sequence[float], sampling: Sampling) -> list[float] | None:
    """The bootstrap interval of the mean, from drawing problems again (see `eval.bootstrap`).

    Returns:
        Low and high; None for fewer than two problems, or where no samples are asked for.
    """
    if len(values) < 2 or sampling.num_samples == 0:
        return None
    columns = np.column_stack([values, np.ones(len(values))])
    clusters = Clusters(np.arange(len(values)), len(values))
    statistic = SumStatistic(columns, clusters, lambda sums: {"mean": ratio(sums[..., 0], sums[..., 1])})
    means = resample({"": statistic}, len(values), sampling.num_samples, sampling.seed)[""]["mean"]
    return interval(means, sampling.level)


def summarise(problems: Sequence[Sequence[SampleRow]], sampling: Sampling) -> dict[str, Any]:
    """Everything in the summary that follows from the samples alone.

    Args:
        problems: the samples of each problem, in the problems' order; every problem has the same number.
        sampling: how intervals are made.
    """
    rows = [row for samples in problems for row in samples]
    found = {
        "avg_at_k": [average([row.correct for row in samples]) for samples in problems],
        "maj_at_k": [majority([row.vote for row in samples], [row.correct for row in samples]) for samples in problems],
    }
    known = {name: [value for value in values if value is not None] for name, values in found.items()}
    failures = Counter(row.failure.value for row in rows if row.failure is not None)
    given = [row for row in rows if row.finish_reason]
    return {
        "k": len(problems[0]),
        **{name: sum(values) / len(values) if values else None for name, values in known.items()},
        "intervals": {name: mean_interval(values, sampling) for name, values in known.items()},
        "num_problems": len(problems),
        "num_unscored_problems": len(problems) - len(known["avg_at_k"]),
        "num_failed_problems": sum(map(policy_failed, problems)),
        "num_samples": len(rows),
        "num_unscored_samples": failures.total(),
        "unscored_samples": dict(sorted(failures.items())),
        "num_without_answer": sum(row.answer is None for row in given),
        "num_cut_off": sum(row.finish_reason == "length" for row in given),
        "seconds": sum(row.seconds for row in rows),
        "usage": {
            "prompt_tokens": round(sum(row.prompt_tokens for row in rows)),
            "completion_tokens": round(sum(row.completion_tokens for row in rows)),
        },
        "bootstrap": asdict(sampling),
    }
