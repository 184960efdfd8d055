"""Two judges on the same rows: is the difference more than chance?

Figures are compared by the bootstrap over problems, with the same samples for both. Single answers are compared by
McNemar's exact test (McNemar 1947; here the binomial form): of the rows that only one judge got right, could as many be
one judge's by tossing a coin? The test takes rows as independent, the bootstrap does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval import first_error
from eval.bootstrap import Combined, Statistic, SumStatistic, interval, make_clusters, resample
from eval.judged import JudgedRow
from eval.log import LOG_NAME, LogRow, read_identity, read_log
from eval.metrics import Sampling
from judge.errors import DataError
from judge.types import NO_ERROR


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two logs."""

    path: Path
    judge_id: str | None
    rows: dict[str, LogRow]


def read_side(path: Path) -> Side:
    """Read a log, or the log of a folder.

    Raises:
        DataError: no log, or a damaged one.
    """
    log = path / LOG_NAME if path.is_dir() else path
    rows = {row.id: row for row in read_log(log)}
    identity = read_identity(log.parent)
    return Side(path, identity.judge_id if identity else None, rows)


def compare(a: Side, b: Side, sampling: Sampling, *, allow_missing: bool = False) -> dict[str, Any]:
    """The figures of both on the rows that both have, and the differences B minus A with their intervals.

    Args:
        allow_missing: leave out rows that only one log has; they are counted.

    Raises:
        DataError: rows that only one log has, or rows with different labels: other data.
    """
    shared = _shared(a, b, allow_missing=allow_missing)
    sides = [[_judged(side.rows[name]) for name in shared] for side in (a, b)]
    clusters = make_clusters([row.cluster for row in sides[0]])
    parts: list[Statistic] = [SumStatistic(first_error.counts(rows), clusters, first_error.figures) for rows in sides]
    difference = Combined(parts, lambda values: values[1] - values[0])
    point = difference.point()
    samples = (
        resample({"difference": difference}, clusters.num, sampling.num_samples, sampling.seed)["difference"]
        if sampling.num_samples and clusters.num > 1
        else {}
    )
    return {
        "a": _described(a, parts[0], len(shared)),
        "b": _described(b, parts[1], len(shared)),
        "difference": point,
        "intervals": {name: interval(values, sampling.level) for name, values in samples.items()},
        "mcnemar": {
            half: mcnemar([row.is_right for row in side_a], [row.is_right for row in side_b])
            for half, side_a, side_b in _halves(sides[0], sides[1])
        },
        "num_rows": len(shared),
        "num_problems": clusters.num,
        "level": sampling.level,
        "num_samples": sampling.num_samples,
        "seed": sampling.seed,
    }


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> dict[str, Any]:
    """McNemar's exact test, two-sided.

    Args:
        a: [rows] whether the first judge is right.
        b: the second, on the same rows.

    >>> mcnemar([True, True, False], [True, False, False])
    {'both': 1, 'only_a': 1, 'only_b': 0, 'neither': 1, 'p_value': 1.0}
    """
    pairs = list(zip(a, b, strict=True))
    only_a, only_b = pairs.count((True, False)), pairs.count((False, True))
    return {
        "both": pairs.count((True, True)),
        "only_a": only_a,
        "only_b": only_b,
        "neither": pairs.count((False, False)),
        "p_value": _coin_toss(only_a, only_a + only_b),
    }


def _coin_toss(heads: int, tosses: int) -> float:
    """The two-sided p-value of a fair coin; 1 without tosses."""
    if tosses == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(heads, tosses).pvalue)


def _shared(a: Side, b: Side, *, allow_missing: bool) -> list[str]:
    shared = [name for name in a.rows if name in b.rows]
    lonely = [name for side, other in ((a, b), (b, a)) for name in side.rows if name not in other.rows]
    if not shared:
        raise DataError(f"{a.path} and {b.path} have no row in common")
    if lonely and not allow_missing:
        raise DataError(
            f"{a.path} and {b.path}: {len(lonely)} rows are in one log only, such as '{lonely[0]}' "
            "(--allow-missing compares the others)"
        )
    for name in shared:
        ours, theirs = a.rows[name], b.rows[name]
        if (ours.label, ours.num_steps) != (theirs.label, theirs.num_steps):
            raise DataError(
                f"{b.path}: row '{name}' has label {theirs.label} and {theirs.num_steps} steps, in {a.path} "
                f"label {ours.label} and {ours.num_steps} steps: the logs are of different data"
            )
    return shared


def _judged(row: LogRow) -> JudgedRow:
    return JudgedRow(row.problem or row.id, row.label, row.num_steps, row.prediction, blank_step=row.blank_step)


def _halves(a: Sequence[JudgedRow], b: Sequence[JudgedRow]) -> list[tuple[str, list[JudgedRow], list[JudgedRow]]]:
    found = [("all", list(a), list(b))]
    for half, is_error in (("error", True), ("correct", False)):
        members = [number for number, row in enumerate(a) if (row.label != NO_ERROR) == is_error]
        found.append((half, [a[number] for number in members], [b[number] for number in members]))
    return found


def _described(side: Side, statistic: Statistic, num_shared: int) -> dict[str, Any]:
    return {
        "path": str(side.path),
        "judge_id": side.judge_id,
        "num_left_out": len(side.rows) - num_shared,
        **statistic.point(),
    }
