"""SGPO fidelity: how much of the training signal of the human labels survives a judge.

SGPO (arXiv 2505.11595) turns the first wrong step of each wrong response into a reward and compares the responses to
one problem. What training feels is therefore not the judge's accuracy but the order and the size of the differences
inside a group. Here the judge's first errors and the human labels go through the same shaping and the same advantage,
and the results are compared. RTS counts steps.

The same figures for the human label with noise put in (`eval.fidelity_noise`) give them a scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from eval.benchmarks.example import Example
from eval.bootstrap import Clusters, Floats, SumStatistic, interval, plain, resample
from eval.fidelity_figures import Normalize, Sums, cluster_sums, figures, totals
from eval.fidelity_groups import FidelityCase, Grouping, Groups, lay_out, make_groups
from eval.fidelity_noise import LOWER_IS_BETTER, WORTH, noise_curve, worth
from eval.log import LogRow
from judge.settings import Settings
from judge.shaping import Shaping
from judge.types import NO_ERROR

GROUPING_NOTES: Mapping[str, str] = {
    "problem": "the wrong responses to one problem",
    "matched": "sets of wrong solutions of different problems with about the same number of steps: these groups "
    "are across problems",
}


class FidelitySettings(Settings):
    """What the signal is made with, and how it is measured."""

    shaping: Shaping = Shaping()
    """From RTS to reward; the defaults are the server's."""
    normalize: Normalize = "none"
    """Divide the advantages by the group's standard deviation (``std``) or not; all-negative groups default to not."""
    rts_from: Literal["first_error", "expected_rts"] = "first_error"
    """Which of the judge's answers makes its RTS. The server uses the first error."""
    grouping: Grouping = "auto"
    """See `eval.fidelity_groups.make_groups`."""
    group_size: int = Field(default=8, ge=2, le=64)
    """Responses of a group that is put together from different problems."""
    noise_rates: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    noise_seeds: int = Field(default=20, ge=1, le=1000)
    """Draws that each point of a noise curve is the mean of."""
    num_resamples: int = Field(default=1000, ge=0, le=100_000)
    """Bootstrap samples; 0: no intervals."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals."""

    @model_validator(mode="after")
    def _rates_rise_from_zero(self) -> FidelitySettings:
        rates = self.noise_rates
        if not rates or rates[0] != 0 or rates[-1] > 1 or any(a >= b for a, b in pairwise(rates)):
            raise ValueError("noise_rates must rise from 0 to at most 1")
        return self


def fidelity_cases(examples: Sequence[Example], rows: Mapping[str, LogRow]) -> list[FidelityCase]:
    """The wrong responses among the examples, with what the log (by id) says of each.

    A response is wrong when its final answer is, and in data that does not say, when it has an error. Examples that
    are not in the log are left out.
    """
    return [
        FidelityCase(
            problem=example.cluster,
            num_steps=len(example.steps),
            label=example.label,
            first_error=None if row.prediction is None or row.prediction == NO_ERROR else row.prediction,
            expected_rts=row.expected_rts,
            unscored=row.prediction is None,
        )
        for example in examples
        if example.label is not None and example.label != NO_ERROR and example.final_answer_correct is not True
        if (row := rows.get(example.id)) is not None
    ]


def measure_fidelity(cases: Sequence[FidelityCase], settings: FidelitySettings, seed: int = 0) -> dict[str, Any]:
    """All of it, ready for JSON: undefined figures are None.

    A judge that finds no error in a wrong response gives no score there, as in the reward server: such a response is
    unscored, and counted apart. An unscored response leaves its group's mean and gets advantage 0. The error of the RTS
    and tau-b are over scored responses; the figures about advantages are over whole groups.

    Args:
        cases: wrong responses only.
        settings: shaping, normalisation, groups, noise.
        seed: of the made groups, the noise and the bootstrap.

    Raises:
        ValueError: when a label or first error is not a step of its response.
    """
    for case in cases:
        _check(case)
    counts = _counts(cases)
    if not cases:
        empty: dict[str, Any] = {name: {} for name in ("figures", "intervals", "noise", "worth")}
        return {"settings": settings.model_dump(mode="json"), "counts": counts, **empty}
    partition = make_groups(cases, settings.grouping, settings.group_size, seed)
    layout = lay_out(partition)
    ordered = [cases[index] for index in layout.order]
    labels, num_steps = (np.array([getattr(case, name) for case in ordered]) for name in ("label", "num_steps"))
    truth = labels / num_steps
    judged = np.array([_judged_rts(case, settings.rts_from) for case in ordered], dtype=np.float64)

    def sums_of(rts: Floats) -> Sums:
        return cluster_sums(truth, rts, layout, settings.shaping, settings.normalize)

    sums = sums_of(judged)
    found, intervals = totals(sums), _intervals(sums, settings, seed)
    rates, seeds = settings.noise_rates, range(seed, seed + settings.noise_seeds)
    curves = {
        kind: noise_curve(labels, num_steps, kind, rates, seeds, lambda rts: totals(sums_of(rts))) for kind in WORTH
    }
    return {
        "settings": settings.model_dump(mode="json"),
        "grouping": _describe(partition),
        "counts": counts | _group_counts(sums),
        "figures": _plain(found),
        "intervals": intervals,
        "human": {"signal_share": _share(sums["human_signal"], sums["groups"])},
        "noise": {kind: [_plain(point) for point in curve] for kind, curve in curves.items()},
        "worth": {kind: _worth(rates, curves[kind], found, intervals, names) for kind, names in WORTH.items()},
    }


def _check(case: FidelityCase) -> None:
    for name, step in (("label", case.label), ("first_error", case.first_error)):
        if step is not None and not 0 <= step < case.num_steps:
            raise ValueError(f"{name} = {step} is not one of the {case.num_steps} steps")


def _judged_rts(case: FidelityCase, source: str) -> float:
    """NaN where there is no score: unscored, no error found, or an expected RTS that the judge does not give."""
    if case.unscored or case.first_error is None:
        return float("nan")
    if source == "first_error":
        return case.first_error / case.num_steps
    return float("nan") if case.expected_rts is None else case.expected_rts


def _counts(cases: Sequence[FidelityCase]) -> dict[str, Any]:
    return {
        "num_wrong": len(cases),
        "num_unscored": sum(case.unscored for case in cases),
        "num_no_error": sum(not case.unscored and case.first_error is None for case in cases),
    }


def _group_counts(sums: Sums) -> dict[str, Any]:
    is_group = sums["groups"] > 0
    return {
        "num_scored": int(sums["scored"].sum()),
        "coverage": float(sums["scored"].sum() / sums["cases"].sum()),
        "num_groups": int(is_group.sum()),
        "num_in_groups": int(sums["cases"][is_group].sum()),
        "num_groups_same_true_rts": int((is_group & (sums["human_signal"] == 0)).sum()),
        "num_groups_ranked": int(sums["ranked"].sum()),
        "num_groups_judge_flat": int(((sums["ranked"] > 0) & (sums["judge_signal"] == 0)).sum()),
    }


def _describe(partition: Groups) -> dict[str, Any]:
    sizes = [len(members) for members in partition.groups]
    return {
        "rule": partition.rule,
        "note": GROUPING_NOTES[partition.rule],
        "min_size": min(sizes, default=None),
        "mean_size": float(np.mean(sizes)) if sizes else None,
        "max_size": max(sizes, default=None),
        "num_left_out": sum(map(len, partition.left_out)),
    }


def _intervals(sums: Sums, settings: FidelitySettings, seed: int) -> dict[str, list[float] | None]:
    """Each figure's bootstrap interval over the clusters: groups, and problems in no group."""
    names, num = list(sums), len(sums["cases"])
    if num < 2 or settings.num_resamples == 0:
        return dict.fromkeys(figures(sums), None)
    statistic = SumStatistic(
        np.column_stack([sums[name] for name in names]),
        Clusters(np.arange(num), num),
        lambda columns: figures(dict(zip(names, np.moveaxis(columns, -1, 0), strict=True))),
    )
    samples = resample({"": statistic}, num, settings.num_resamples, seed)[""]
    return {name: interval(values, settings.confidence) for name, values in samples.items()}


def _share(part: Floats, whole: Floats) -> float | None:
    return float(part.sum() / whole.sum()) if whole.any() else None


def _worth(
    rates: Sequence[float],
    curve: Sequence[Mapping[str, float]],
    found: Mapping[str, float],
    intervals: Mapping[str, list[float] | None],
    names: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """For each figure the noise rate that the judge is worth, and the rates at the ends of its interval."""
    worths: dict[str, dict[str, Any]] = {}
    for name in names:
        lower = name in LOWER_IS_BETTER
        points = [point[name] for point in curve]
        ends = sorted(intervals[name] or [], reverse=not lower)  # the better end first: it is worth less noise
        rate, *at_ends = (plain(worth(rates, points, value, lower_is_better=lower)) for value in (found[name], *ends))
        worths[name] = {"rate": rate, "interval": at_ends or None}
    return worths


def _plain(point: Mapping[str, float]) -> dict[str, float | None]:
    return {name: plain(value) for name, value in point.items()}
