"""F1 against the threshold, and decoding as known to be wrong, against the judge library's row-by-row code."""

from __future__ import annotations

import random

import numpy as np
import pytest

from eval.bootstrap import make_clusters
from eval.judged import JudgedRow
from eval.known_wrong import known_wrong, known_wrong_baselines
from eval.thresholds import RULES, Rule, f1_curve, fitted_on_few, threshold_figures
from judge.calibration import Decoding
from judge.measures import first_error_metrics
from judge.train import calibrate, measures
from judge.types import NO_ERROR


def make_rows(seed: int, num_rows: int = 80, levels: int | None = None) -> list[JudgedRow]:
    rng = random.Random(seed)
    rows = []
    for number in range(num_rows):
        n = rng.randint(1, 6)
        label = rng.choice([NO_ERROR, rng.randrange(n)])
        probs = [min(rng.betavariate(1, 4) + (0.3 if step == label else 0.0), 1.0) for step in range(n)]
        if levels:
            probs = [round(prob * levels) / levels for prob in probs]
        rows.append(JudgedRow(f"p{number}", label, n, None, step_error_probs=tuple(probs)))
    return rows


def scores_and_labels(rows: list[JudgedRow]) -> tuple[list[tuple[float, ...]], list[int]]:
    return [row.step_error_probs or () for row in rows], [row.label for row in rows]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("levels", [None, 6])
def test_the_curve_is_that_of_decoding_every_row(rule: Rule, levels: int | None) -> None:
    rows = make_rows(0, levels=levels)
    scores, labels = scores_and_labels(rows)
    curve = f1_curve(rows, rule)
    assert len(curve.thresholds) > 5
    for place, threshold in enumerate(curve.thresholds):
        said = measures.predictions(scores, Decoding(rule=rule, threshold=threshold))
        expected = first_error_metrics(labels, said)[:3]
        assert (curve.error_acc[place], curve.correct_acc[place], curve.f1[place]) == pytest.approx(expected)


@pytest.mark.parametrize("rule", RULES)
def test_the_thresholds_tried_are_the_trainers(rule: Rule) -> None:
    rows = make_rows(0)
    expected = calibrate.f1_curve(*scores_and_labels(rows), Decoding(rule=rule))
    assert f1_curve(rows, rule).thresholds == pytest.approx(expected.thresholds)


def test_the_best_threshold_gives_its_f1() -> None:
    rows = make_rows(1)
    found = threshold_figures(rows, seed=0)
    assert found is not None
    for rule in RULES:
        decoding = Decoding(rule=rule, threshold=found[rule]["best_threshold"])
        scores, labels = scores_and_labels(rows)
        metrics = first_error_metrics(labels, measures.predictions(scores, decoding))
        assert metrics.f1 == pytest.approx(found[rule]["best_f1"])


def test_few_rows_fit_worse_than_all_and_the_seed_decides() -> None:
    rows = make_rows(2, 200)
    found = threshold_figures(rows, seed=0)
    assert found is not None
    best = max(found[rule]["best_f1"] for rule in RULES)
    few = found["fitted_on_few"]
    assert 0.5 * best < few["f1"] < best
    assert fitted_on_few(rows, 0) == few != fitted_on_few(rows, 1)


def test_the_score_of_few_rows_is_that_of_the_other_rows() -> None:
    """The first draw by hand: fit on 20 rows with the library, score the rest."""
    rows = make_rows(3, 120)
    order = np.random.default_rng(7).permutation(len(rows))
    few, others = [rows[i] for i in order[:20]], [rows[i] for i in order[20:]]
    decoding, _ = calibrate.fit_decoding(*scores_and_labels(few), "none")
    scores, labels = scores_and_labels(others)
    expected = first_error_metrics(labels, measures.predictions(scores, decoding)).f1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eval.thresholds.DRAWS", 2)
        first = fitted_on_few(rows, 7)
    assert first is not None
    # two draws: mean and deviation give both scores
    spread = first["sd"] / np.sqrt(2)
    assert min(abs(first["f1"] - spread - expected), abs(first["f1"] + spread - expected)) < 1e-9


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [JudgedRow("a", 0, 1, 0)],
        [JudgedRow("a", 0, 1, 0, step_error_probs=(0.5,))],
        [JudgedRow("a", NO_ERROR, 1, 0, step_error_probs=(0.5,))],
    ],
)
def test_no_threshold_without_both_halves(rows: list[JudgedRow]) -> None:
    assert threshold_figures(rows, 0) is None


def test_too_few_rows_to_fit_on_some() -> None:
    assert fitted_on_few(make_rows(4, 39), 0) is None
    assert fitted_on_few([row for row in make_rows(4, 400) if row.label != NO_ERROR], 0) is None


def test_known_wrong_figures_are_the_librarys() -> None:
    rows = make_rows(5)
    scores, labels = scores_and_labels(rows)
    sizes = [row.num_steps for row in rows]
    found = known_wrong(rows, make_clusters([row.cluster for row in rows])).point()
    assert found["known_wrong_acc"] == pytest.approx(measures.conditional_accuracy(scores, labels, Decoding()))
    assert found["known_wrong_rts_mae"] == pytest.approx(measures.rts_error(scores, labels, sizes, Decoding()))


def test_known_wrong_by_hand() -> None:
    rows = [
        JudgedRow("a", 1, 2, None, step_error_probs=(0.5, 0.5)),  # shares 2/3 and 1/3: expected rts 1/6
        JudgedRow("b", 0, 2, None, step_error_probs=(0.0, 0.0)),  # the judge found no error: no figure
        JudgedRow("c", 0, 3, None, step_error_probs=(0.2,)),  # not a probability for every step
        JudgedRow("d", NO_ERROR, 1, None, step_error_probs=(0.9,)),
    ]
    found = known_wrong(rows, make_clusters(["a", "b", "c", "d"])).point()
    assert found["known_wrong_acc"] == 0.0
    assert found["known_wrong_rts_mae"] == 0.5
    assert found["expected_rts_mae"] == pytest.approx(0.5 - 1 / 6)
    assert found["median_rts_mae"] == 0.5


def test_known_wrong_baselines_by_hand() -> None:
    labels = [(2, 4), (2, 8), (0, 4), (0, 2), (1, 2)]
    rows = [JudgedRow("p", label, n, None, step_error_probs=(0.1,) * n) for label, n in labels]
    found = known_wrong_baselines(rows)
    assert found["constant_index"] == {"index": 0, "known_wrong_acc": 0.4}
    assert found["median_rts"]["rts"] == 0.25
    assert found["median_rts"]["expected_rts_mae"] == pytest.approx((0.25 + 0 + 0.25 + 0.25 + 0.25) / 5)
    assert known_wrong_baselines([JudgedRow("p", 0, 1, 0)]) == {}
