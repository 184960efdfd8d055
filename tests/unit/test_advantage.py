"""Group advantages against TRL's own code and a brute-force version."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpo_client.advantage import (
    Normalize,
    all_negative_divisor,
    all_negative_weight,
    group_advantages,
    is_informative,
    quantized,
    scored_group_advantages,
)
from sgpo_client.settings.algo import Algorithm
from sgpo_client.settings.sgpo import SgpoTable
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


STD = Algorithm(normalize="std")
PLAIN = SgpoTable()


def _group(scores: list[ResponseScore], all_negative: bool) -> ScoredGroup:
    rollouts = [Rollout(prompt_ids=[1], response_ids=[2], text="t", truncated=False) for _ in scores]
    return ScoredGroup(Problem(id="p", text="q", answer="1"), rollouts, scores, all_negative)


def _judged(reward: float) -> ResponseScore:
    return ResponseScore(id="0", reward=reward, status="judged", acc=0)


UNSCORED = ResponseScore(id="0", reward=None, status="unscored", acc=0, error=ItemError("no_evidence", "none"))


def test_a_small_spread_among_wrong_responses_stays_small() -> None:
    group = _group([_judged(0.010), _judged(0.012), _judged(0.011)], all_negative=True)
    assert scored_group_advantages(group, STD, PLAIN) == pytest.approx([-0.001, 0.001, 0.0])
    blown_up = scored_group_advantages(group, STD, SgpoTable(scale="std"))
    assert max(blown_up) > 0.9, "the trap that the default avoids: noise as large as a correct answer"


def test_mixed_groups_have_their_own_setting() -> None:
    scores = [ResponseScore(id="0", reward=1.0, status="correct", acc=1), _judged(0.0)]
    group = _group(scores, all_negative=False)
    assert scored_group_advantages(group, STD, PLAIN) == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5)], abs=2e-4)
    assert scored_group_advantages(group, Algorithm(), PLAIN) == [0.5, -0.5]


def test_an_unscored_response_is_not_a_reward_of_zero() -> None:
    group = _group([_judged(0.4), UNSCORED, _judged(0.2)], all_negative=True)
    assert scored_group_advantages(group, STD, PLAIN) == pytest.approx([0.1, 0.0, -0.1])


def _leave_one_out(rewards: list[float | None]) -> list[float]:
    """Each reward minus the mean of the others, one by one."""
    scored = [reward for reward in rewards if reward is not None]
    if len(scored) < 2:
        return [0.0] * len(rewards)
    total = sum(scored)
    return [0.0 if reward is None else reward - (total - reward) / (len(scored) - 1) for reward in rewards]


@given(rewards=REWARDS)
def test_leave_one_out_is_the_mean_of_the_others(rewards: list[float | None]) -> None:
    assert group_advantages(rewards, "none", "leave_one_out") == pytest.approx(_leave_one_out(rewards), abs=1e-9)


def test_leave_one_out_by_hand() -> None:
    assert group_advantages([1.0, 0.0, 0.5], "none", "leave_one_out") == pytest.approx([0.75, -0.75, 0.0])


SPREAD = [0.1, 0.2, 0.3, None]  # sample standard deviation 0.1


@pytest.mark.parametrize(
    ("sgpo", "advantage"),
    [
        (SgpoTable(), 0.1),
        (SgpoTable(scale="constant", scale_value=0.25), 0.4),
        (SgpoTable(scale="std"), 0.1 / 0.1001),
        (SgpoTable(scale="std_floor", scale_value=0.05), 1.0),
        (SgpoTable(scale="std_floor", scale_value=0.4), 0.25),
    ],
)
def test_scales_of_all_negative_groups_by_hand(sgpo: SgpoTable, advantage: float) -> None:
    scores = [UNSCORED if reward is None else _judged(reward) for reward in SPREAD]
    expected = pytest.approx([-advantage, 0.0, advantage, 0.0])
    assert scored_group_advantages(_group(scores, all_negative=True), STD, sgpo) == expected
    mixed = scored_group_advantages(_group(scores, all_negative=False), Algorithm(), sgpo)
    assert mixed == pytest.approx([-0.1, 0.0, 0.1, 0.0]), "mixed groups have no part in it"


def test_a_divisor_is_never_zero() -> None:
    for scale in ("none", "constant", "std", "std_floor"):
        assert all_negative_divisor([0.2, 0.2], scale, 0.25) > 0


@pytest.mark.parametrize(
    ("table", "weights"),
    [
        (SgpoTable(weight=0.5), [0.5, 0.5, 0.5]),
        (SgpoTable(weight=1.0, weight_end=0.2, schedule="linear"), [1.0, 0.6, 0.2]),
        (SgpoTable(weight=0.0, weight_end=1.0, schedule="cosine"), [0.0, 0.5, 1.0]),
    ],
)
def test_weight_at_the_first_middle_and_last_step(table: SgpoTable, weights: list[float]) -> None:
    assert [all_negative_weight(table, step, 11) for step in (0, 5, 10)] == pytest.approx(weights)
    group = _group([_judged(0.1), _judged(0.3)], all_negative=True)
    assert scored_group_advantages(group, STD, table, weight=weights[0]) == pytest.approx(
        [-0.1 * weights[0], 0.1 * weights[0]]
    )


def test_a_cosine_bends_where_a_line_does_not() -> None:
    table = SgpoTable(weight=0.0, weight_end=1.0, schedule="cosine")
    assert all_negative_weight(table, 1, 5) == pytest.approx((1 - math.cos(math.pi / 4)) / 2)
    assert all_negative_weight(table, 0, 1) == 0.0, "a run of one step"


def test_rounding_removes_differences_below_the_quantum() -> None:
    group = _group([_judged(0.21), _judged(0.23), _judged(0.39)], all_negative=True)
    advantages = scored_group_advantages(group, STD, SgpoTable(quantum=0.1))
    assert advantages == pytest.approx([-0.2 / 3, -0.2 / 3, 0.4 / 3])
    assert advantages[0] == advantages[1]
    right = ResponseScore(id="0", reward=1.0, status="correct", acc=1)
    mixed = _group([right, _judged(0.14)], all_negative=False)
    assert scored_group_advantages(mixed, Algorithm(), SgpoTable(quantum=0.3)) == pytest.approx([0.5, -0.5])


@given(reward=st.floats(0, 1), quantum=st.floats(0.01, 0.5))
def test_rounding_moves_a_reward_by_half_a_quantum_at_most(reward: float, quantum: float) -> None:
    assert abs(quantized(reward, quantum) - reward) <= quantum / 2 + 1e-12


def test_a_response_at_the_defences_floor_is_rounded_like_an_honest_one() -> None:
    floored = ResponseScore(id="0", reward=0.00335, status="wrong", acc=0, rts=0.0, flags=("padding",))
    group = _group([floored, _judged(0.00335), _judged(0.004)], all_negative=True)
    assert not is_informative(group, quantum=0.1)
    assert is_informative(group)
    assert scored_group_advantages(group, STD, SgpoTable(quantum=0.1, scale="std")) == [0.0, 0.0, 0.0]
