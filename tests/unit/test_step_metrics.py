"""Ranking and calibration of steps against scikit-learn and a plain loop, with ties, weights and single classes."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from eval.bootstrap import Clusters, make_clusters
from eval.judged import JudgedRow
from eval.step_metrics import NUM_BINS, Ranking, calibration, probability_bins, reliability, usable_steps


def make_rows(seed: int, num_rows: int = 60, levels: int | None = None) -> list[JudgedRow]:
    """Rows of 20 problems; ``levels``: so few different probabilities that most are tied."""
    rng = random.Random(seed)
    rows = []
    for number in range(num_rows):
        n = rng.randint(1, 7)
        label = rng.randrange(-1, n)
        probs = [min(rng.betavariate(1, 3) + (0.2 if step == label else 0.0), 1.0) for step in range(n)]
        if levels:
            probs = [round(prob * levels) / levels for prob in probs]
        rows.append(JudgedRow(f"p{number % 20}", label, n, None, step_error_probs=tuple(probs)))
    return rows


def clusters_of(rows: list[JudgedRow]) -> Clusters:
    return make_clusters([row.cluster for row in rows])


def test_the_steps_up_to_the_first_error_count() -> None:
    rows = [
        JudgedRow("a", 1, 4, None, step_error_probs=(0.1, 0.9, 0.3, 0.2)),
        JudgedRow("b", -1, 2, None, step_error_probs=(0.2, 0.4)),
        JudgedRow("c", 0, 3, None),
        JudgedRow("d", 1, 4, None, step_error_probs=(0.5, 0.6)),  # stopped where it found the error
        JudgedRow("e", 2, 4, None, step_error_probs=(0.5, 0.6)),  # stopped before the error
        JudgedRow("f", -1, 4, None, step_error_probs=(0.5, 0.6)),
    ]
    steps = usable_steps(rows)
    assert steps.probs.tolist() == [0.1, 0.9, 0.2, 0.4, 0.5, 0.6]
    assert steps.targets.tolist() == [0, 1, 0, 0, 0, 1]
    assert steps.row.tolist() == [0, 0, 1, 1, 3, 3]


@pytest.mark.parametrize("levels", [None, 5, 1])
def test_rank_figures_under_weights_are_scikit_learns(levels: int | None) -> None:
    rows = make_rows(1, levels=levels)
    steps, clusters = usable_steps(rows), clusters_of(rows)
    weights = np.random.default_rng(0).integers(0, 4, size=(clusters.num, 12)).astype(float)
    found = Ranking(steps, clusters).sampled(weights)
    for sample in range(12):
        weight = weights[clusters.ids[steps.row], sample]
        kept = weight > 0
        arguments = (steps.targets[kept], steps.probs[kept])
        assert found["step_auroc"][sample] == pytest.approx(roc_auc_score(*arguments, sample_weight=weight[kept]))
        assert found["step_ap"][sample] == pytest.approx(
            average_precision_score(*arguments, sample_weight=weight[kept])
        )


def test_the_point_is_the_same_by_both_ways() -> None:
    rows = make_rows(2, levels=20)
    ranking = Ranking(usable_steps(rows), clusters_of(rows))
    once = ranking.sampled(np.ones((ranking.num_clusters, 1)))
    assert {name: pytest.approx(float(value[0]), abs=1e-12) for name, value in once.items()} == ranking.point()


def test_by_hand_with_a_tie() -> None:
    rows = [
        JudgedRow("a", 1, 2, None, step_error_probs=(0.5, 0.5)),
        JudgedRow("b", 0, 1, None, step_error_probs=(0.7,)),
    ]
    # the right step is beaten by one wrong step and tied with the other
    found = Ranking(usable_steps(rows), clusters_of(rows)).point()
    assert found["step_auroc"] == 0.75
    assert found["step_ap"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


@pytest.mark.parametrize("label", [-1, 0])
def test_one_class_has_no_ranking(label: int) -> None:
    rows = [JudgedRow("a", label, 1, None, step_error_probs=(0.5,))]
    ranking = Ranking(usable_steps(rows), clusters_of(rows))
    assert ranking.point() == {"step_auroc": None, "step_ap": None}
    assert all(np.isnan(values).all() for values in ranking.sampled(np.ones((1, 3))).values())


def test_no_probabilities_no_figures() -> None:
    rows = [JudgedRow("a", 0, 1, 0), JudgedRow("b", -1, 1, 0)]
    steps, clusters = usable_steps(rows), clusters_of(rows)
    assert set(Ranking(steps, clusters).point().values()) == {None}
    assert np.isnan(Ranking(steps, clusters).sampled(np.ones((2, 3)))["step_ap"]).all()
    assert calibration(steps, clusters).point() == {"step_ece": None, "step_error_rate": None}
    assert reliability(steps) == []


def test_calibration_error_by_a_plain_loop() -> None:
    rows = make_rows(3, levels=30)
    steps = usable_steps(rows)
    total = 0.0
    for number in range(1, NUM_BINS + 1):
        inside = [
            (prob, target)
            for prob, target in zip(steps.probs.tolist(), steps.targets.tolist(), strict=True)
            if (number - 1) / NUM_BINS < prob <= number / NUM_BINS or (prob == 0 and number == 1)
        ]
        total += abs(sum(prob for prob, _ in inside) - sum(target for _, target in inside))
    found = calibration(steps, clusters_of(rows)).point()
    assert found["step_ece"] == pytest.approx(total / len(steps.probs))
    assert found["step_error_rate"] == pytest.approx(steps.targets.mean())


def test_the_bins_hold_their_upper_bound() -> None:
    edges = [0.0, 1 / NUM_BINS, math.nextafter(1 / NUM_BINS, 1), 1.0]
    assert probability_bins(np.array(edges)).tolist() == [0, 0, 1, NUM_BINS - 1]


def test_reliability_bins_add_up() -> None:
    rows = make_rows(4)
    steps = usable_steps(rows)
    bins = reliability(steps)
    assert sum(part["num_steps"] for part in bins) == len(steps.probs)
    assert sum(part["num_steps"] * part["error_rate"] for part in bins) == pytest.approx(steps.targets.sum())
    assert all(part["low"] <= part["mean_prob"] <= part["high"] for part in bins)
    gap = sum(part["num_steps"] * abs(part["mean_prob"] - part["error_rate"]) for part in bins) / len(steps.probs)
    assert gap == pytest.approx(calibration(steps, clusters_of(rows)).point()["step_ece"])
