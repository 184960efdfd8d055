"""Figures of finished runs: means over seeds with intervals, tokens to a target, differences seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.learning.runs import Result, key_of
from benchmarks.learning.training import RunSpec

LAST = 6
"""Points of a curve, about a tenth of the run, that its end is the mean of."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95% t-interval over ``num`` seeds."""

    mean: float
    low: float
    high: float
    num: int

    def text(self, digits: int = 3, *, sign: bool = False) -> str:
        """As in a table; without runs a dash, of one no interval."""
        if self.num == 0:
            return "–"
        form = f"{{:{'+' if sign else ''}.{digits}f}}"
        if self.num == 1:
            return form.format(self.mean)
        return f"{form.format(self.mean)} ({form.format(self.low)} to {form.format(self.high)})"


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95% interval by Student's t; no interval (NaN) below two values.

    >>> estimate([1.0, 2.0, 3.0]).text(2)
    '2.00 (-0.48 to 4.48)'
    """
    if not values:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean, float("nan"), float("nan"), len(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return Estimate(mean, mean - half, mean + half, len(values))


def end(result: Result, name: str) -> float:
    """A figure at the end of a run."""
    return float(np.mean(result.curve[name][-LAST:]))


def start(result: Result, name: str) -> float:
    """A figure at the start of a run, before there was much to learn."""
    return float(np.mean(result.curve[name][:2]))


def tokens_to(result: Result, target: float, name: str = "accuracy", window: int = 3) -> float | None:
    """Sampled tokens until the running mean over ``window`` points reaches the target; None: never in this run."""
    values = np.convolve(result.curve[name], np.ones(window) / window, mode="valid")
    reached = np.flatnonzero(values >= target)
    return result.curve["tokens"][int(reached[0]) + window - 1] if len(reached) else None


def finished(specs: Sequence[RunSpec], results: Mapping[str, Result]) -> list[Result]:
    """Those of the runs that are in the log, in order."""
    return [results[key] for spec in specs if (key := key_of(spec)) in results]


def ends(specs: Sequence[RunSpec], results: Mapping[str, Result], name: str = "accuracy") -> Estimate:
    """The end of some runs that differ in their seed only."""
    return estimate([end(result, name) for result in finished(specs, results)])


def gain(
    specs: Sequence[RunSpec], others: Sequence[RunSpec], results: Mapping[str, Result], name: str = "accuracy"
) -> Estimate:
    """The end of runs less that of others, seed by seed: a seed's warm policy is the same in both."""
    ours, theirs = ({spec.seed: results.get(key_of(spec)) for spec in runs} for runs in (specs, others))
    pairs = [(a, b) for seed, a in ours.items() if a is not None and (b := theirs.get(seed)) is not None]
    return estimate([end(a, name) - end(b, name) for a, b in pairs])


def reach(specs: Sequence[RunSpec], results: Mapping[str, Result], target: float) -> str:
    """Median tokens to a target accuracy over the seeds, in thousands, and how many seeds got there.

    A seed that did not get there counts as later than all others.
    """
    runs = finished(specs, results)
    if not runs:
        return "–"
    times = sorted(float("inf") if (time := tokens_to(run, target)) is None else time for run in runs)
    num = sum(np.isfinite(times))
    median = times[len(times) // 2]
    return (
        f"{median / 1000:.0f}k ({num} of {len(runs)})" if np.isfinite(median) else f"not reached ({num} of {len(runs)})"
    )
