"""Metrics of a step beside numpy and scipy: histogram of rts, and what the reward does with length inside groups."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy import stats

from sgpo_client.log.step_metrics import NUM_RTS_BINS, group_sums, rts_bin, step_metrics
from sgpo_client.types import Problem, Rollout, ScoredGroup
from sgpo_client.wire import ResponseScore


def make_group(rewards: list[float | None], sizes: list[int], steps: list[int], rts: list[float | None]) -> ScoredGroup:
    rollouts = [Rollout([1], [2] * size, "x" * (size > 1), truncated=False) for size in sizes]
    scores = [
        ResponseScore(str(i), reward, "judged" if reward is not None else "unscored", 0, rts=share, num_steps=count)
        for i, (reward, share, count) in enumerate(zip(rewards, rts, steps, strict=True))
    ]
    return ScoredGroup(Problem("p", "p", "1"), rollouts, scores, all_negative=True)


def random_groups(seed: int, count: int) -> list[ScoredGroup]:
    rng = random.Random(seed)
    groups = []
    for _ in range(count):
        size = rng.randint(1, 6)
        rts = [rng.choice([0.0, 0.3, 0.7, 0.95]) for _ in range(size)]
        rewards = [None if rng.random() < 0.2 else share / 2 + rng.uniform(0, 0.1) for share in rts]
        groups.append(make_group(rewards, [rng.randint(2, 90) for _ in rts], [rng.randint(1, 9) for _ in rts], [*rts]))
    return groups


def centred_pairs(groups: list[ScoredGroup], x_of) -> tuple[np.ndarray, np.ndarray]:
    xs, ys = [], []
    for group in groups:
        pairs = [
            (x_of(rollout, score), score.reward)
            for rollout, score in zip(group.rollouts, group.scores, strict=True)
            if score.reward is not None
        ]
        if len(pairs) > 1:
            x, y = np.array(pairs, dtype=float).T
            xs.append(x - x.mean())
            ys.append(y - y.mean())
    return np.concatenate(xs), np.concatenate(ys)


def test_length_against_reward_is_the_regression_on_groups_around_their_means() -> None:
    groups = random_groups(0, 40)
    # As two ranks would: the sums are added, not the shares.
    halves = [group_sums(groups[:13]), group_sums(groups[13:])]
    metrics = step_metrics({name: halves[0][name] + halves[1][name] for name in halves[0]})
    for slope, correlation, x_of in (
        ("reward_per_step", "reward_num_steps_correlation", lambda rollout, score: score.num_steps),
        ("reward_per_token", "reward_tokens_correlation", lambda rollout, score: len(rollout.response_ids)),
    ):
        expected = stats.linregress(*centred_pairs(groups, x_of))
        assert metrics[slope] == pytest.approx(expected.slope, rel=1e-9)
        assert metrics[correlation] == pytest.approx(expected.rvalue, rel=1e-9)


def test_differences_between_groups_do_not_count() -> None:
    short = make_group([0.1, 0.1], [10, 20], [2, 4], [0.1, 0.1])
    long = make_group([0.9, 0.9], [80, 90], [8, 9], [0.9, 0.9])
    metrics = step_metrics(group_sums([short, long]))
    assert metrics["reward_per_step"] == 0
    assert metrics["reward_num_steps_correlation"] is None  # no reward differs inside its group


def test_the_histogram_is_numpys() -> None:
    groups = random_groups(1, 60)
    shares = [score.rts for group in groups for score in group.scores]
    expected, _ = np.histogram(np.array(shares) + 1e-12, bins=NUM_RTS_BINS, range=(0, 1))
    assert step_metrics(group_sums(groups))["rts_histogram"] == expected.tolist()


@pytest.mark.parametrize("num_steps", range(1, 60))
def test_shares_of_whole_steps_land_where_fractions_say(num_steps: int) -> None:
    for first_error in range(num_steps):
        assert rts_bin(first_error / num_steps) == first_error * NUM_RTS_BINS // num_steps
    assert rts_bin(1.0) == NUM_RTS_BINS - 1


def test_counts() -> None:
    group = make_group([0.1, 0.2, None], [1, 5, 1], [1, 2, 1], [0.1, 0.2, None])
    metrics = step_metrics(group_sums([group]))
    assert (metrics["num_responses"], metrics["num_empty_responses"], metrics["response_tokens"]) == (3, 2, 7)
    assert metrics["rescued_share"] == 1
    assert step_metrics(group_sums([]))["rescued_share"] is None
