"""All figures of a set of judged rows and of its parts, with intervals and trivial baselines: pure functions.

The definitions are in `eval.first_error`, `eval.mr_score`, `eval.prm_score`, `eval.step_metrics` and
`eval.known_wrong`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from eval.baselines import baselines
from eval.benchmarks.example import FamilyName
from eval.bootstrap import (
    Clusters,
    Combined,
    Floats,
    Joint,
    Statistic,
    SumStatistic,
    interval,
    make_clusters,
    resample,
)
from eval.families import FAMILIES
from eval.judged import JudgedRow
from eval.known_wrong import known_wrong, known_wrong_baselines
from eval.step_metrics import Ranking, calibration, usable_steps
from judge.measures import FirstErrorMetrics, first_error_metrics
from judge.types import NO_ERROR

__all__ = ["FirstErrorMetrics", "Measured", "Sampling", "confusion", "first_error_metrics", "measure"]

LENGTHS: Final = ((1, 3), (4, 5), (6, 8), (9, 12), (13, None))
"""Bounds of the groups by number of steps, both included."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How intervals are made."""

    num_samples: int = 1000
    """0: no intervals."""
    seed: int = 0
    level: float = 0.95


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of all rows, and of their parts. Each part has what the whole has."""

    whole: dict[str, Any]
    """Figures by name, their ``intervals``, and the ``baselines``."""
    by_subset: dict[str, dict[str, Any]]
    by_length: dict[str, dict[str, Any]]
    num_clusters: int


def measure(
    rows: Sequence[JudgedRow],
    families: Sequence[FamilyName] = ("first_error",),
    headline: Sequence[str] = ("f1",),
    averaged: Sequence[str] = (),
    sampling: Sampling = Sampling(),
) -> Measured:
    """Measure the rows, each subset, and each group of solutions of similar length.

    Args:
        rows: at least one.
        families: what is computed, in `FAMILIES`.
        headline: the random baseline takes its best rate for the first of these that it has.
        averaged: figures whose unweighted mean over the subsets becomes ``mean_...`` of the whole.
    """
    clusters = make_clusters([row.cluster for row in rows])
    subsets = _groups(row.subset for row in rows)
    lengths = _groups(length_name(row.num_steps) for row in rows)
    parts = {("all", ""): list(range(len(rows)))}
    parts |= {("subset", name): members for name, members in subsets.items()}
    parts |= {("length", name): members for name, members in lengths.items()}
    statistics = {
        part: _statistic([rows[member] for member in members], clusters.of(members), families)
        for part, members in parts.items()
    }
    if averaged:
        means = _Means([statistics["subset", name] for name in subsets], averaged)
        statistics["all", ""] = Joint([statistics["all", ""], means])
    samples = _sample(statistics, clusters.num, sampling)
    found = {
        part: _described(
            statistics[part].point(),
            samples.get(part, {}),
            sampling.level,
            [rows[member] for member in members],
            families,
            headline,
        )
        for part, members in parts.items()
    }
    return Measured(
        whole=found["all", ""],
        by_subset={name: found["subset", name] for name in subsets},
        by_length={name: found["length", name] for name in sorted(lengths, key=_first_number)},
        num_clusters=clusters.num,
    )


def confusion(rows: Iterable[JudgedRow]) -> dict[str, dict[str, int]]:
    """How often each label met each answer: ``{"2": {"2": 7, "-1": 3, "unscored": 1}}``; indices from 0, -1: none."""
    counted = Counter((row.label, row.prediction) for row in rows)
    table: dict[str, dict[str, int]] = {}
    for (label, said), count in sorted(counted.items(), key=lambda item: (item[0][0], _order(item[0][1]))):
        table.setdefault(str(label), {})["unscored" if said is None else str(said)] = count
    return table


def length_name(num_steps: int) -> str:
    """The group of a solution with so many steps.

    >>> length_name(4), length_name(20)
    ('4-5', '13+')
    """
    low, high = next(
        bounds for bounds in LENGTHS if num_steps >= bounds[0] and (bounds[1] is None or num_steps <= bounds[1])
    )
    return f"{low}+" if high is None else f"{low}-{high}"


class _Means(Combined):
    """Unweighted means over the subsets, as ``mean_...``; NaN where one subset has no such figure."""

    def __init__(self, parts: Sequence[Statistic], names: Sequence[str]) -> None:
        super().__init__(parts, lambda values: np.mean(np.stack(values), axis=0))
        self._names = names

    def sampled(self, weights: Floats) -> dict[str, Floats]:
        means = super().sampled(weights)
        return {f"mean_{name}": means[name] for name in self._names}


def _statistic(rows: Sequence[JudgedRow], clusters: Clusters, families: Sequence[FamilyName]) -> Statistic:
    steps = usable_steps(rows)
    sums = [SumStatistic(FAMILIES[name].counts(rows), clusters, FAMILIES[name].figures) for name in families]
    return Joint([*sums, Ranking(steps, clusters), calibration(steps, clusters), known_wrong(rows, clusters)])


def _sample(
    statistics: Mapping[tuple[str, str], Statistic], num_clusters: int, sampling: Sampling
) -> dict[tuple[str, str], dict[str, Floats]]:
    """Nothing for a single problem: drawing it again and again would give an interval of no width."""
    if sampling.num_samples == 0 or num_clusters < 2:
        return {}
    return resample(statistics, num_clusters, sampling.num_samples, sampling.seed)


def _described(
    point: Mapping[str, float | None],
    samples: Mapping[str, Floats],
    level: float,
    rows: Sequence[JudgedRow],
    families: Sequence[FamilyName],
    headline: Sequence[str],
) -> dict[str, Any]:
    counts = {
        "num_rows": len(rows),
        "num_error": sum(row.label != NO_ERROR for row in rows),
        "num_correct": sum(row.label == NO_ERROR for row in rows),
        "num_unscored": sum(row.prediction is None for row in rows),
        "num_out_of_range": sum(row.out_of_range for row in rows),
    }
    intervals = {
        name: None if value is None or name not in samples else interval(samples[name], level)
        for name, value in point.items()
    }
    trivial = baselines(rows, [FAMILIES[name] for name in families], headline)
    for name, figures in known_wrong_baselines(rows).items():
        trivial[f"known_wrong_{name}"] = figures
    return {**point, **counts, "intervals": intervals, "baselines": trivial}


def _groups(names: Iterable[str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        groups.setdefault(name, []).append(number)
    return groups


def _first_number(name: str) -> int:
    return int(name.rstrip("+").partition("-")[0])


def _order(prediction: int | None) -> float:
    return np.inf if prediction is None else prediction
