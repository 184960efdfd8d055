import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from judge.errors import ModelError
from judge.features.estimators import from_arrays, from_boosting, from_logistic, log_odds


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 5)).astype(np.float32)
    rows[:, 4] = 1.0  # a feature that says nothing
    return rows, (rows[:, 0] + rows[:, 1] * rows[:, 2] + rng.normal(size=400) > 0.3).astype(int)


@pytest.mark.parametrize("depth", [1, 4])
def test_trees_score_as_scikit_learn(depth: int) -> None:
    rows, targets = data()
    model = GradientBoostingClassifier(n_estimators=30, max_depth=depth, subsample=0.7, random_state=0)
    ours = from_boosting(model.fit(rows, targets))
    fresh = np.random.default_rng(1).normal(size=(200, 5)).astype(np.float32)
    np.testing.assert_allclose(log_odds(ours, fresh), model.decision_function(fresh), atol=1e-9)
    again = from_arrays("boosting", ours.arrays())
    np.testing.assert_array_equal(log_odds(again, fresh), log_odds(ours, fresh))


def test_logistic_scores_as_scikit_learn() -> None:
    rows, targets = data()
    scaler = StandardScaler().fit(rows)
    model = LogisticRegression().fit(scaler.transform(rows), targets)
    ours = from_arrays("logistic", from_logistic(scaler, model).arrays())
    np.testing.assert_allclose(log_odds(ours, rows), model.decision_function(scaler.transform(rows)), atol=1e-5)


def test_contributions_name_the_feature_that_decided() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 3)).astype(np.float32)
    model = GradientBoostingClassifier(n_estimators=20, max_depth=2, random_state=0).fit(rows, rows[:, 1] > 0)
    parts, base = from_boosting(model).contributions(np.array([[0.0, 2.0, 0.0], [0.0, -2.0, 0.0]], np.float32))
    assert np.abs(parts).argmax(axis=1).tolist() == [1, 1]
    assert parts[0, 1] > 1 > -1 > parts[1, 1]
    # On average over the training rows the features add nothing to the base.
    everywhere, _ = from_boosting(model).contributions(rows)
    assert abs(everywhere.sum(axis=1).mean()) < 0.05 * np.abs(everywhere.sum(axis=1)).max()
    assert base == pytest.approx(model.decision_function(rows).mean(), abs=0.2)


def test_missing_arrays_are_a_model_error() -> None:
    for kind in ("boosting", "logistic"):
        with pytest.raises(ModelError, match="lack"):
            from_arrays(kind, {})
