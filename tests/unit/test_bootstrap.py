"""The cluster bootstrap against samples that are really drawn and put together, and against theory."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eval import bootstrap
from eval.bootstrap import Combined, Floats, Joint, SumStatistic, interval, make_clusters, ratio, resample

NAMES = ["b", "a", "b", "c", "a", "b"]
VALUES = np.array([[1.0, 1.0], [0.0, 1.0], [3.0, 1.0], [5.0, 1.0], [2.0, 1.0], [0.0, 1.0]])


def mean_figure(sums: Floats) -> dict[str, Floats]:
    return {"mean": ratio(sums[..., 0], sums[..., 1])}


def statistic() -> SumStatistic:
    return SumStatistic(VALUES, make_clusters(NAMES), mean_figure)


def test_clusters_are_numbered_by_name() -> None:
    clusters = make_clusters(NAMES)
    assert (clusters.ids.tolist(), clusters.num) == ([1, 0, 1, 2, 0, 1], 3)
    assert clusters.of([0, 3]).ids.tolist() == [1, 2]
    assert clusters.of([0, 3]).num == 3


def test_the_point_is_the_figure_of_the_rows() -> None:
    assert statistic().point() == {"mean": pytest.approx(11 / 6)}


def test_weights_count_whole_clusters() -> None:
    weights = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    found = statistic().sampled(weights)["mean"]
    assert found[0] == (2 * (0 + 2) + (1 + 3 + 0)) / (2 * 2 + 3)
    assert np.isnan(found[1])


def test_samples_are_those_of_drawing_problems_and_joining_their_rows() -> None:
    found = resample({"": statistic()}, 3, 200, seed=5)[""]["mean"]
    draws = np.random.default_rng(5).multinomial(3, [1 / 3] * 3, size=200)
    members = [[number for number, name in enumerate(NAMES) if name == cluster] for cluster in "abc"]
    for value, draw in zip(found, draws, strict=True):
        rows = [row for times, rows in zip(draw, members, strict=True) for _ in range(times) for row in rows]
        assert value == pytest.approx(VALUES[rows, 0].mean())


def test_the_size_of_the_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = resample({"": statistic()}, 3, 50, seed=1)[""]["mean"]
    monkeypatch.setattr(bootstrap, "MEMORY", 21)
    np.testing.assert_array_equal(resample({"": statistic()}, 3, 50, seed=1)[""]["mean"], whole)
    assert not np.array_equal(resample({"": statistic()}, 3, 50, seed=2)[""]["mean"], whole)


def test_clusters_widen_the_interval_as_theory_says() -> None:
    """400 problems with 4 equal rows each: the standard error is that of 400 values, not of 1,600."""
    values = np.repeat(np.random.default_rng(0).normal(size=400), 4)
    columns = np.column_stack([values, np.ones(1600)])
    names = [f"{number // 4}" for number in range(1600)]
    found = SumStatistic(columns, make_clusters(names), mean_figure)
    low, high = interval(resample({"": found}, 400, 4000, seed=0)[""]["mean"]) or (0.0, 0.0)
    half = 1.96 * values.std() / math.sqrt(400)
    assert (high - low) / 2 == pytest.approx(half, rel=0.06)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=0.1 * half)


def test_percentiles() -> None:
    samples = np.append(np.arange(101.0), np.nan)
    assert interval(samples, 0.9) == pytest.approx([5.0, 95.0])
    assert interval(np.array([np.nan, np.nan])) is None


def test_several_statistics_see_the_same_samples() -> None:
    both = {"one": statistic(), "other": statistic()}
    found = resample(both, 3, 40, seed=3)
    np.testing.assert_array_equal(found["one"]["mean"], found["other"]["mean"])
    difference = Combined(list(both.values()), lambda values: values[1] - values[0])
    np.testing.assert_array_equal(resample({"": difference}, 3, 40, seed=3)[""]["mean"], np.zeros(40))


def test_joint_figures_keep_every_name() -> None:
    doubled = SumStatistic(VALUES, make_clusters(NAMES), lambda sums: {"twice": 2 * mean_figure(sums)["mean"]})
    assert Joint([statistic(), doubled]).point() == {"mean": pytest.approx(11 / 6), "twice": pytest.approx(11 / 3)}


def test_ratio_is_undefined_at_zero() -> None:
    found = ratio(np.array([1.0, 0.0, 3.0]), np.array([2.0, 0.0, 0.0]))
    assert found[0] == 0.5
    assert np.isnan(found[1:]).all()
