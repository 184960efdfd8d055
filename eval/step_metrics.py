"""How good the probabilities of single steps are: ranking (AUROC, average precision) and calibration.

Only steps up to the first error count: a probability is P(this step is wrong | all before are right), and nobody
labelled that for the steps after an error. The target is whether the step is the first error. A row takes part when it
has a probability for each of these steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eval.bootstrap import Clusters, Floats, Ints, Statistic, SumStatistic, plain, ratio, summing_matrix
from eval.judged import JudgedRow
from judge.types import NO_ERROR

NUM_BINS: Final = 15
"""Of the calibration error, as in Guo et al. 2017 (arXiv 1706.04599)."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps that count, of all rows together."""

    probs: Floats
    """[steps] in [0, 1]."""
    targets: Ints
    """[steps] 1 for the first error."""
    row: Ints
    """[steps] which row it belongs to."""


def usable_steps(rows: Sequence[JudgedRow]) -> Steps:
    """The steps up to the first error of every row that has probabilities for them."""
    probs: list[float] = []
    targets: list[int] = []
    owners: list[int] = []
    for number, row in enumerate(rows):
        needed = row.num_steps if row.label == NO_ERROR else row.label + 1
        if row.step_error_probs is None or len(row.step_error_probs) < needed:
            continue
        probs += row.step_error_probs[:needed]
        targets += [int(step == row.label) for step in range(needed)]
        owners += [number] * needed
    return Steps(np.array(probs, float), np.array(targets, np.int64), np.array(owners, np.int64))


class Ranking(Statistic):
    """``step_auroc`` and ``step_ap``. NaN (None) without wrong steps or without right ones.

    The figures of the rows as they are come from scikit-learn; its functions, called for each of a thousand samples,
    take minutes, so these are computed here for many weightings at once.
    """

    def __init__(self, steps: Steps, clusters: Clusters) -> None:
        """Lay out the steps by falling probability; those of one probability are one rank."""
        self._steps = steps
        order = np.argsort(-steps.probs, kind="stable")
        falling, wrong = steps.probs[order], steps.targets[order] == 1
        rank = np.cumsum(np.diff(falling, prepend=np.inf) != 0) - 1
        # Ranks between two that hold a wrong step act as one: nothing is read off inside them.
        rank = _merged(rank, wrong)
        self.num_clusters = clusters.num
        self.size = int(rank[-1]) + 1 if len(rank) else 0
        owner = clusters.ids[steps.row[order]]
        shape = (self.size, clusters.num)
        self._wrong = summing_matrix(rank[wrong], owner[wrong], shape)
        self._right = summing_matrix(rank[~wrong], owner[~wrong], shape)

    def sampled(self, weights: Floats) -> dict[str, Floats]:
        """See `Statistic.sampled`."""
        if self.size == 0:
            return {name: np.full(weights.shape[1], np.nan) for name in ("step_auroc", "step_ap")}
        wrong, right = self._wrong @ weights, self._right @ weights  # [ranks, samples]
        wrong_above, right_above = np.cumsum(wrong, axis=0), np.cumsum(right, axis=0)
        num_wrong, num_right = wrong_above[-1], right_above[-1]
        both = (num_wrong > 0) & (num_right > 0)
        # A right step is beaten by the wrong ones above it, and by half of those at its own probability.
        area = np.einsum("rs,rs->s", right, wrong_above - wrong / 2)
        precision = wrong_above / np.maximum(wrong_above + right_above, 1)  # counts: 0 or at least 1
        return {
            "step_auroc": np.where(both, ratio(area, num_wrong * num_right), np.nan),
            "step_ap": np.where(both, ratio(np.einsum("rs,rs->s", wrong, precision), num_wrong), np.nan),
        }

    def point(self) -> dict[str, float | None]:
        """See `Statistic.point`."""
        from sklearn.metrics import average_precision_score, roc_auc_score

        targets, probs = self._steps.targets, self._steps.probs
        if len(set(targets.tolist())) < 2:
            return {"step_auroc": None, "step_ap": None}
        return {
            "step_auroc": float(roc_auc_score(targets, probs)),
            "step_ap": float(average_precision_score(targets, probs)),
        }


def _merged(rank: Ints, wrong: NDArray[np.bool_]) -> Ints:
    """The ranks, with neighbouring ones made one where none of them holds a wrong step."""
    if not len(rank):
        return rank
    holds_wrong = np.bincount(rank, weights=wrong) > 0
    starts = np.concatenate([[False], holds_wrong[1:] | holds_wrong[:-1]])
    merged: Ints = np.cumsum(starts)[rank]
    return merged


def calibration(steps: Steps, clusters: Clusters) -> Statistic:
    """``step_ece``, the expected calibration error (Guo et al. 2017, equation 3), and ``step_error_rate``.

    The weighted mean over `NUM_BINS` bins of equal width, ``((m-1)/M, m/M]``, of the difference between the mean
    probability and the share of wrong steps. ``step_error_rate`` is that share over all steps: the average precision
    of a judge that knows nothing.
    """
    bins = probability_bins(steps.probs)
    values = np.zeros((len(bins), NUM_BINS, 3))
    values[np.arange(len(bins)), bins] = np.column_stack([np.ones(len(bins)), steps.probs, steps.targets])
    flat = values.reshape(len(bins), NUM_BINS * 3)
    return SumStatistic(flat, Clusters(clusters.ids[steps.row], clusters.num), _calibration_figures)


def _calibration_figures(sums: Floats) -> dict[str, Floats]:
    count, probs, wrong = np.moveaxis(sums.reshape(*sums.shape[:-1], NUM_BINS, 3), -1, 0)
    total = count.sum(axis=-1)
    return {
        "step_ece": ratio(np.abs(probs - wrong).sum(axis=-1), total),
        "step_error_rate": ratio(wrong.sum(axis=-1), total),
    }


def probability_bins(probs: Floats) -> Ints:
    """[steps] the bin of each, from 0; 0 itself belongs to the first."""
    edges = np.arange(1, NUM_BINS) / NUM_BINS
    return np.digitize(probs, edges, right=True).astype(np.int64)


def reliability(steps: Steps) -> list[dict[str, Any]]:
    """The bins of the calibration error that hold a step: bounds, steps, mean probability, share of wrong steps."""
    bins = probability_bins(steps.probs)
    return [
        {
            "low": number / NUM_BINS,
            "high": (number + 1) / NUM_BINS,
            "num_steps": int(inside.sum()),
            "mean_prob": plain(steps.probs[inside].mean()),
            "error_rate": plain(steps.targets[inside].mean()),
        }
        for number in range(NUM_BINS)
        if (inside := bins == number).any()
    ]
