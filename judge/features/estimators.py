"""Fitted scikit-learn models as plain arrays: a judge folder holds numbers, never a pickle that could run code.

Both say what decided: the parts of a score that each feature brought, which add up to the score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from judge.errors import ModelError

Array = NDArray[Any]


class Estimator(Protocol):
    """Scores rows of features."""

    def contributions(self, rows: Array) -> tuple[Array, float]:
        """What each feature adds to each row's log odds ([rows, features]), and the log odds without any."""
        ...

    def arrays(self) -> dict[str, Array]:
        """All that is needed to make it again."""
        ...


def log_odds(estimator: Estimator, rows: Array) -> Array:
    """Log odds that each row's step is wrong: [rows]."""
    parts, base = estimator.contributions(rows)
    total: Array = parts.sum(axis=1) + base
    return total


class Linear:
    """Logistic regression on standardised features."""

    def __init__(self, mean: Array, scale: Array, weights: Array, intercept: float) -> None:
        self._mean, self._scale, self._weights, self._intercept = mean, scale, weights, intercept

    def contributions(self, rows: Array) -> tuple[Array, float]:
        """See `Estimator`."""
        return (rows - self._mean) / self._scale * self._weights, self._intercept

    def arrays(self) -> dict[str, Array]:
        """See `Estimator`."""
        return {
            "mean": self._mean,
            "scale": self._scale,
            "weights": self._weights,
            "intercept": np.array([self._intercept]),
        }


class Boosted:
    """Gradient-boosted regression trees, all nodes of all trees in one list.

    The contribution of a feature is the change of the expected score over the splits on it along a row's path
    (Saabas, 2014; ``treeinterpreter``).
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._roots = arrays["roots"]
        self._left, self._right = arrays["left"], arrays["right"]
        self._feature, self._threshold = arrays["feature"], arrays["threshold"]
        self._value = arrays["value"]
        self._base = float(arrays["base"][0])

    def contributions(self, rows: Array) -> tuple[Array, float]:
        """See `Estimator`."""
        rows = rows.astype(np.float32)  # as scikit-learn compares
        parts = np.zeros(rows.shape)
        number = np.arange(len(rows))
        for root in self._roots:
            node = np.full(len(rows), root)
            while (inner := self._left[node] >= 0).any():
                feature = self._feature[node[inner]]
                goes_left = rows[number[inner], feature] <= self._threshold[node[inner]]
                below = np.where(goes_left, self._left[node[inner]], self._right[node[inner]])
                parts[number[inner], feature] += self._value[below] - self._value[node[inner]]
                node[inner] = below
        return parts, self._base + float(self._value[self._roots].sum())

    def arrays(self) -> dict[str, Array]:
        """See `Estimator`."""
        return {
            "roots": self._roots,
            "left": self._left,
            "right": self._right,
            "feature": self._feature,
            "threshold": self._threshold,
            "value": self._value,
            "base": np.array([self._base]),
        }


def from_arrays(kind: str, arrays: Mapping[str, Array]) -> Estimator:
    """The estimator of a judge folder; ``kind`` is ``boosting`` or ``logistic``.

    Raises:
        ModelError: an array is missing.
    """
    try:
        if kind == "boosting":
            return Boosted(arrays)
        return Linear(arrays["mean"], arrays["scale"], arrays["weights"], float(arrays["intercept"][0]))
    except KeyError as error:
        raise ModelError(f"the weights of the features judge lack {error}: the folder is damaged") from None


def from_boosting(model: Any) -> Boosted:
    """Take over a fitted binary ``sklearn.ensemble.GradientBoostingClassifier`` with its default first guess."""
    columns: dict[str, list[Array]] = {name: [] for name in ("left", "right", "feature", "threshold", "value")}
    roots, size = [], 0
    for tree in (row[0].tree_ for row in model.estimators_):
        roots.append(size)
        for name, child in (("left", tree.children_left), ("right", tree.children_right)):
            columns[name].append(np.where(child >= 0, child + size, -1))
        columns["feature"].append(tree.feature)
        columns["threshold"].append(tree.threshold)
        columns["value"].append(_expected_values(tree) * model.learning_rate)
        size += tree.node_count
    prior = model.init_.class_prior_[1]
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    joined |= {"roots": np.array(roots), "base": np.array([np.log(prior / (1 - prior))])}
    return Boosted({name: _small(array) for name, array in joined.items()})


def from_logistic(scaler: Any, model: Any) -> Linear:
    """Take over a fitted ``StandardScaler`` and binary ``LogisticRegression``."""
    return Linear(scaler.mean_, scaler.scale_, model.coef_[0], float(model.intercept_[0]))


def _expected_values(tree: Any) -> Array:
    """Value of every node: its own for a leaf, the mean over its rows for an inner node.

    scikit-learn updates the leaves alone after a tree is grown, so inner nodes are computed from them.
    """
    values: Array = tree.value[:, 0, 0].copy()
    weight = tree.weighted_n_node_samples
    for node in range(tree.node_count - 1, -1, -1):  # children stand behind their parent
        left, right = tree.children_left[node], tree.children_right[node]
        if left >= 0:
            total = weight[left] * values[left] + weight[right] * values[right]
            values[node] = total / (weight[left] + weight[right])
    return values


def _small(array: Array) -> Array:
    """Half the bytes for whole numbers; thresholds and values stay as they are, so that scores stay as they are."""
    return array.astype(np.int32) if array.dtype.kind == "i" else array
