"""Group advantages against TRL's own code and a brute-force version."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpo_client.advantage import Normalize, group_advantages, scored_group_advantages
from sgpo_client.types import Problem, Rollout, ScoredGroup
from sgpo_client.wire import ItemError, ResponseScore

REWARDS = st.lists(st.none() | st.floats(0, 1, width=32), min_size=1, max_size=16)


def _brute_force(rewards: list[float | None], normalize: str) -> list[float]:
    total, count = 0.0, 0
    for reward in rewards:
        if reward is not None:
            total, count = total + reward, count + 1
    if count < 2:
        return [0.0 for _ in rewards]
    mean = total / count
    variance = sum((reward - mean) ** 2 for reward in rewards if reward is not None) / (count - 1)
    scale = math.sqrt(variance) + 1e-4 if normalize == "std" else 1.0
    return [0.0 if reward is None else (reward - mean) / scale for reward in rewards]


@pytest.mark.parametrize("normalize", ["none", "std"])
@given(rewards=REWARDS)
def test_agrees_with_brute_force(rewards: list[float | None], normalize: Normalize) -> None:
    assert group_advantages(rewards, normalize) == pytest.approx(_brute_force(rewards, normalize), abs=1e-9)


@given(rewards=REWARDS)
def test_unscored_responses_change_nothing(rewards: list[float | None]) -> None:
    advantages = group_advantages(rewards, "std")
    scored = [reward for reward in rewards if reward is not None]
    kept = [advantage for advantage, reward in zip(advantages, rewards, strict=True) if reward is not None]
    assert kept == group_advantages(scored, "std")
    assert all(advantage == 0.0 for advantage, reward in zip(advantages, rewards, strict=True) if reward is None)
    assert sum(advantages) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("normalize", ["none", "std"])
@pytest.mark.parametrize(
    "rewards",
    [[], [None, None], [0.7], [None, 0.7, None], [0.1, 0.1, 0.1], [0.3, None, 0.3], [0.0] * 8, [1.0] * 7 + [None]],
)
def test_no_difference_is_exactly_zero(rewards: list[float | None], normalize: Normalize) -> None:
    assert group_advantages(rewards, normalize) == [0.0] * len(rewards)


TABLE: list[list[float | None]] = [
    [1.0, 0.0, 0.0, 0.0],
    [1.0, None, 0.0, 0.0],
    [None, None, 1.0, 0.0],
    [0.31, 0.02, 0.45, 0.1],
    [None, 0.02, None, None],
    [0.25, 0.25, 0.25, 0.25],
    [None, None, None, None],
    [1.0, 1.0, 1.0, 0.0],
]


@pytest.mark.slow
@pytest.mark.parametrize("normalize", ["none", "std"])
def test_agrees_with_trl(normalize: Normalize, tmp_path: Path) -> None:
    """TRL's trainer itself samples from a tiny model and turns the table's rewards into advantages."""
    from tests.unit.trl_reference import make_trainer

    rewards = [reward for group in TABLE for reward in group]
    trainer = make_trainer(tmp_path, scale_rewards={"none": "none", "std": "group"}[normalize], rewards=rewards)
    inputs = [{"prompt": "a b"} for _ in rewards]
    theirs = trainer._generate_and_score_completions(inputs)["advantages"].tolist()
    ours = [advantage for group in TABLE for advantage in group_advantages(group, normalize)]
    assert ours == pytest.approx(theirs, abs=2e-6)
    assert max(ours) > 0.5


class Settings(NamedTuple):
    normalize: Normalize = "std"
    normalize_all_negative: Normalize = "none"


def _group(scores: list[ResponseScore], all_negative: bool) -> ScoredGroup:
    rollouts = [Rollout(prompt_ids=[1], response_ids=[2], text="t", truncated=False) for _ in scores]
    return ScoredGroup(Problem(id="p", text="q", answer="1"), rollouts, scores, all_negative)


def _judged(reward: float) -> ResponseScore:
    return ResponseScore(id="0", reward=reward, status="judged", acc=0)


UNSCORED = ResponseScore(id="0", reward=None, status="unscored", acc=0, error=ItemError("no_evidence", "none"))


def test_a_small_spread_among_wrong_responses_stays_small() -> None:
    group = _group([_judged(0.010), _judged(0.012), _judged(0.011)], all_negative=True)
    assert scored_group_advantages(group, Settings()) == pytest.approx([-0.001, 0.001, 0.0])
    blown_up = scored_group_advantages(group, Settings(normalize_all_negative="std"))
    assert max(blown_up) > 0.9, "the trap that the default avoids: noise as large as a correct answer"


def test_mixed_groups_have_their_own_setting() -> None:
    scores = [ResponseScore(id="0", reward=1.0, status="correct", acc=1), _judged(0.0)]
    group = _group(scores, all_negative=False)
    assert scored_group_advantages(group, Settings()) == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5)], abs=2e-4)
    assert scored_group_advantages(group, Settings(normalize="none")) == [0.5, -0.5]


def test_an_unscored_response_is_not_a_reward_of_zero() -> None:
    group = _group([_judged(0.4), UNSCORED, _judged(0.2)], all_negative=True)
    assert scored_group_advantages(group, Settings()) == pytest.approx([0.1, 0.0, -0.1])
