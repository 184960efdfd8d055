"""From RTS to what training would feel: rewards, advantages, and the figures that compare two judges' signals.

Everything is summed within a cluster first (a group, or a problem in no group), and every figure is a function of those
sums: so a bootstrap over clusters is a matter of weights.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from eval.bootstrap import Floats, ratio
from eval.fidelity_groups import Layout
from judge.shaping import Shaping, shaped_reward

Sums = dict[str, Floats]
Normalize = Literal["none", "std"]

GRPO_EPS: Final = 1e-4
"""Added to the standard deviation, as in TRL: a group with hardly any spread stays finite."""
NO_PUSH: Final = 1e-12
"""A smaller advantage has no sign: a reward equal to its group's mean differs from it by rounding."""


def rewards(rts: Floats, shaping: Shaping) -> Floats:
    """[N] shaped reward of each RTS; NaN (unscored) stays NaN."""
    distinct, place = np.unique(rts, return_inverse=True)
    curve = [np.nan if np.isnan(value) else shaped_reward(float(value), shaping) for value in distinct]
    shaped: Floats = np.array(curve, dtype=np.float64)[place]
    return shaped


def advantages(reward: Floats, layout: Layout, normalize: Normalize) -> Floats:
    """[N] reward minus the group's mean, with ``std`` over (sample standard deviation + `GRPO_EPS`).

    GRPO (arXiv 2402.03300, eq. 4), and without the division Dr. GRPO (arXiv 2503.20783). A response with reward NaN is
    unscored: it takes no part in mean and deviation and gets 0. So does a group whose scored rewards are all equal.
    """
    scored = ~np.isnan(reward)
    count = _total(scored, layout)
    mean = ratio(_total(np.where(scored, reward, 0.0), layout), count)
    # Equal rewards are caught by value: their floating-point mean may differ from them in the last bit.
    teaches = scored & _has_signal(reward, layout)[layout.cluster]
    centred = np.where(teaches, reward - mean[layout.cluster], 0.0)
    if normalize == "none":
        return centred
    deviation = np.sqrt(_ratio_or_0(_total(centred**2, layout), np.maximum(count - 1, 0)))
    return centred / (deviation[layout.cluster] + GRPO_EPS)


def tau_b(truth: Floats, judged: Floats, layout: Layout) -> tuple[Floats, NDArray[np.bool_]]:
    """Kendall's tau-b inside each group, over its scored responses.

    Pairs in the same order less pairs in reverse order, over the geometric mean of the numbers of pairs that either
    side tells apart (Kendall 1945). It equals `scipy.stats.kendalltau`, for all groups in one pass: a noise curve needs
    some 10,000 of them. A judge that tells no pair apart orders nothing: 0.

    Returns:
        [C] tau, 0 where there is none, and [C] whether the truth tells any scored pair apart.
    """
    gap = judged[layout.first] - judged[layout.second]
    known = ~np.isnan(gap)
    of_judge = np.where(known, np.sign(gap), 0.0)
    of_truth = np.where(known, np.sign(truth[layout.first] - truth[layout.second]), 0.0)
    pair_cluster = layout.cluster[layout.first]

    def per_cluster(values: Floats) -> Floats:
        total: Floats = np.bincount(pair_cluster, weights=values, minlength=len(layout.starts)).astype(np.float64)
        return total

    told_apart, judge_apart = per_cluster(of_truth**2), per_cluster(of_judge**2)
    scale = np.sqrt(told_apart * judge_apart)
    return _ratio_or_0(per_cluster(of_truth * of_judge), scale), told_apart > 0


def cluster_sums(truth: Floats, judged: Floats, layout: Layout, shaping: Shaping, normalize: Normalize) -> Sums:
    """Per cluster ([C] each) what the figures are made of.

    Args:
        truth: [N] RTS by the human label, in the layout's order.
        judged: [N] RTS by the judge, NaN where it is unscored.
        layout: the groups.
        shaping: from RTS to reward.
        normalize: of the advantages.
    """
    scored = ~np.isnan(judged)
    human_reward, judge_reward = rewards(truth, shaping), rewards(judged, shaping)
    human, judge = (advantages(reward, layout, normalize) for reward in (human_reward, judge_reward))
    tau, is_ranked = tau_b(truth, judged, layout)
    dot, human_square, judge_square = (_total(x, layout) for x in (human * judge, human**2, judge**2))
    is_directed = layout.is_group & (human_square > 0)
    in_group = layout.is_group[layout.cluster]
    product = _direction(human) * _direction(judge)
    return {
        "cases": _total(np.ones(len(truth)), layout),
        "scored": _total(scored, layout),
        "abs_error": _total(np.where(scored, np.abs(judged - truth), 0.0), layout),
        "groups": layout.is_group.astype(np.float64),
        "ranked": is_ranked.astype(np.float64),
        "tau": np.where(is_ranked, tau, 0.0),
        "directed": is_directed.astype(np.float64),
        "cosine": np.where(is_directed, _ratio_or_0(dot, np.sqrt(human_square * judge_square)), 0.0),
        "dot": np.where(layout.is_group, dot, 0.0),
        "human_square": np.where(layout.is_group, human_square, 0.0),
        "judge_square": np.where(layout.is_group, judge_square, 0.0),
        "pushed": _total(in_group & (_direction(human) != 0), layout),
        "same": _total(in_group & (product > 0), layout),
        "opposite": _total(in_group & (product < 0), layout),
        "human_signal": (layout.is_group & _has_signal(human_reward, layout)).astype(np.float64),
        "judge_signal": (layout.is_group & _has_signal(judge_reward, layout)).astype(np.float64),
    }


def figures(sums: Sums) -> Sums:
    """The figures of sums over clusters, arrays of any one shape. NaN where nothing bears on a figure."""
    length = np.sqrt(sums["human_square"] * sums["judge_square"])
    return {
        "rts_mae": ratio(sums["abs_error"], sums["scored"]),
        "tau_b": ratio(sums["tau"], sums["ranked"]),
        "sign_agreement": ratio(sums["same"], sums["pushed"]),
        "sign_opposite": ratio(sums["opposite"], sums["pushed"]),
        "cosine": ratio(sums["cosine"], sums["directed"]),
        "cosine_pooled": np.where(sums["human_square"] > 0, _ratio_or_0(sums["dot"], length), np.nan),
        "signal_share": ratio(sums["judge_signal"], sums["groups"]),
    }


def totals(sums: Sums) -> dict[str, float]:
    """The figures over all clusters."""
    return {name: float(value) for name, value in figures({key: each.sum() for key, each in sums.items()}).items()}


def _total(values: NDArray[Any], layout: Layout) -> Floats:
    return np.add.reduceat(values.astype(np.float64), layout.starts)


def _direction(advantage: Floats) -> Floats:
    return np.where(np.abs(advantage) < NO_PUSH, 0.0, np.sign(advantage))


def _has_signal(reward: Floats, layout: Layout) -> NDArray[np.bool_]:
    """[C] whether the scored rewards of the cluster differ."""
    least, most = (extreme.reduceat(reward, layout.starts) for extreme in (np.fmin, np.fmax))
    return np.less(least, most)


def _ratio_or_0(part: Floats, whole: Floats) -> Floats:
    return np.nan_to_num(ratio(part, whole))
