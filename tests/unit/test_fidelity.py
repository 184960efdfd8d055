"""SGPO fidelity by value: a group computed by hand, and whole runs against scipy and the trainer's own advantages."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import kendalltau

from eval.benchmarks.example import Example
from eval.fidelity import FidelitySettings, fidelity_cases, measure_fidelity
from eval.fidelity_figures import Normalize, advantages, tau_b
from eval.fidelity_groups import FidelityCase, Groups, lay_out, make_groups
from eval.log import LogRow
from judge.shaping import Shaping, shaped_reward
from judge.types import UnscoredReason
from sgpo_client.advantage import group_advantages

FAST: dict[str, Any] = {"noise_seeds": 1, "noise_rates": (0.0, 1.0), "num_resamples": 20}


def case(problem: str, num_steps: int, label: int, judged: int | None, **more: Any) -> FidelityCase:
    return FidelityCase(problem, num_steps, label, judged, **more)


def values(cases: Sequence[FidelityCase], **settings: Any) -> dict[str, float | None]:
    found = measure_fidelity(cases, FidelitySettings(**{**FAST, **settings}))
    figures: dict[str, float | None] = found["figures"]
    return figures


def sigmoid_reward(rts: float) -> float:
    return 0.5 / (1 + math.exp(-10 * (rts - 0.5)))


def test_a_group_by_hand() -> None:
    """True RTS 0, 1/4, 3/4; the judge says 1/4, 1/4, 2/4."""
    found = values([case("p", 4, 0, 1), case("p", 4, 1, 1), case("p", 4, 3, 2)])
    assert found["rts_mae"] == pytest.approx((0.25 + 0 + 0.25) / 3)
    assert found["tau_b"] == pytest.approx(2 / math.sqrt(3 * 2))  # two pairs agree, one is tied for the judge
    human = np.array([sigmoid_reward(x) for x in (0, 0.25, 0.75)])
    judge = np.array([sigmoid_reward(x) for x in (0.25, 0.25, 0.5)])
    human, judge = human - human.mean(), judge - judge.mean()
    cosine = human @ judge / np.linalg.norm(human) / np.linalg.norm(judge)
    assert found["cosine"] == pytest.approx(cosine)
    assert found["cosine_pooled"] == pytest.approx(cosine)
    assert (found["sign_agreement"], found["sign_opposite"], found["signal_share"]) == (1.0, 0.0, 1.0)


def test_an_unscored_response_leaves_the_group_and_gets_no_advantage() -> None:
    """True RTS 0, 1/2, 3/4; the second is unscored, the judge turns the other two round."""
    found = values([case("p", 4, 0, 2), case("p", 4, 2, None, unscored=True), case("p", 4, 3, 1)])
    assert found["rts_mae"] == 0.5
    assert found["tau_b"] == -1.0
    human = np.array([sigmoid_reward(x) for x in (0, 0.5, 0.75)])
    human -= human.mean()
    judge = np.array([1.0, 0.0, -1.0])
    assert found["cosine"] == pytest.approx(human @ judge / np.linalg.norm(human) / math.sqrt(2))
    assert found["sign_agreement"] == 0.0
    assert found["sign_opposite"] == pytest.approx(2 / 3), "the unscored one is pushed in neither direction"


def test_no_error_found_in_a_wrong_response_is_no_score_and_counted_apart() -> None:
    cases = [case("p", 4, 1, 1), case("p", 4, 3, None), case("p", 4, 2, None, unscored=True), case("p", 4, 0, 0)]
    counts = measure_fidelity(cases, FidelitySettings(**FAST))["counts"]
    assert (counts["num_wrong"], counts["num_scored"], counts["num_no_error"], counts["num_unscored"]) == (4, 2, 1, 1)
    assert counts["coverage"] == 0.5


def test_groups_that_order_nothing() -> None:
    cases = [case("same truth", 4, 1, 0), case("same truth", 8, 2, 4)]
    cases += [case("flat judge", 4, 1, 1), case("flat judge", 4, 2, 1)]
    cases += [case("good", 4, 1, 1), case("good", 4, 2, 3)]
    cases += [case("one scored", 4, 1, 1), case("one scored", 4, 2, None, unscored=True)]
    result = measure_fidelity(cases, FidelitySettings(**FAST))
    counts, figures = result["counts"], result["figures"]
    assert counts["num_groups"] == 4
    assert counts["num_groups_same_true_rts"] == 1
    assert counts["num_groups_ranked"] == 2, "without the group of one truth and the one with a single score"
    assert counts["num_groups_judge_flat"] == 1
    assert figures["tau_b"] == 0.5, "a judge that tells nothing apart orders nothing: 0 there, 1 in the good"
    assert figures["signal_share"] == 0.5
    assert result["human"]["signal_share"] == 0.75
    assert figures["cosine"] == pytest.approx(1 / 3), "1 of the three groups in which the truth teaches"


def test_a_response_at_the_mean_of_its_group_is_pushed_in_no_direction() -> None:
    """Rewards that are symmetric around gamma: the middle one's advantage is 0 but for rounding."""
    found = values([case("p", 8, 1, 1), case("p", 8, 4, 3), case("p", 8, 7, 7)])
    assert (found["sign_agreement"], found["sign_opposite"]) == (1.0, 0.0)


def test_the_expected_rts_can_be_what_counts() -> None:
    cases = [case("p", 4, 1, 1, expected_rts=0.35), case("p", 4, 2, 2), case("p", 4, 3, 3, expected_rts=0.7)]
    assert values(cases, rts_from="expected_rts")["rts_mae"] == pytest.approx((0.1 + 0.05) / 2)
    assert values(cases)["rts_mae"] == 0.0


def random_cases(seed: int, num: int = 150) -> list[FidelityCase]:
    """Many small groups with few distinct RTS: ties on either side, unscored responses, groups of one."""
    rng = random.Random(seed)
    cases = []
    for _ in range(num):
        num_steps = rng.choice([1, 2, 3, 4, 6])
        judged = None if rng.random() < 0.15 else rng.randrange(num_steps)
        unscored = judged is None and rng.random() < 0.5
        cases.append(case(f"p{rng.randrange(40)}", num_steps, rng.randrange(num_steps), judged, unscored=unscored))
    return cases


def reference(cases: Sequence[FidelityCase], shaping: Shaping, normalize: Normalize) -> dict[str, float]:
    """The same figures group by group: scipy's tau-b, the trainer's advantages."""
    groups: dict[str, list[FidelityCase]] = {}
    for each in cases:
        groups.setdefault(each.problem, []).append(each)
    errors, taus, cosines, directions, signals = [], [], [], [], []
    pooled = np.zeros(3)
    for members in groups.values():
        truth = [each.label / each.num_steps for each in members]
        judged = [None if each.first_error is None else each.first_error / each.num_steps for each in members]
        both = [(t, j) for t, j in zip(truth, judged, strict=True) if j is not None]
        errors += [abs(t - j) for t, j in both]
        if len(members) < 2:
            continue
        if len({t for t, _ in both}) > 1:
            tau = kendalltau(*zip(*both, strict=True)).statistic
            taus.append(0.0 if np.isnan(tau) else tau)
        human = np.array(group_advantages([shaped_reward(t, shaping) for t in truth], normalize))
        judge_rewards = [None if j is None else shaped_reward(j, shaping) for j in judged]
        judge = np.array(group_advantages(judge_rewards, normalize))
        signals.append(len({reward for reward in judge_rewards if reward is not None}) > 1)
        if human.any():
            length = np.linalg.norm(human) * np.linalg.norm(judge)
            cosines.append(human @ judge / length if length else 0.0)
        pooled += [human @ judge, human @ human, judge @ judge]
        directions += [np.sign(h) * np.sign(j) for h, j in zip(human, judge, strict=True) if abs(h) > 1e-12]
    return {
        "rts_mae": float(np.mean(errors)),
        "tau_b": float(np.mean(taus)),
        "cosine": float(np.mean(cosines)),
        "cosine_pooled": float(pooled[0] / math.sqrt(pooled[1] * pooled[2])),
        "sign_agreement": float(np.mean([direction > 0 for direction in directions])),
        "sign_opposite": float(np.mean([direction < 0 for direction in directions])),
        "signal_share": float(np.mean(signals)),
    }


@pytest.mark.parametrize("normalize", ["none", "std"])
@pytest.mark.parametrize("seed", range(4))
def test_equals_a_group_by_group_computation(seed: int, normalize: Normalize) -> None:
    shaping = Shaping(beta=4.0, gamma=0.37, cap=0.6)
    cases = random_cases(seed)
    expected = reference(cases, shaping, normalize)
    assert values(cases, shaping=shaping, normalize=normalize, grouping="problem") == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("normalize", ["none", "std"])
def test_advantages_are_the_trainers(normalize: Normalize) -> None:
    rng = random.Random(1)
    groups = [[rng.choice([None, 0.1, 0.2, rng.random()]) for _ in range(rng.randint(1, 9))] for _ in range(200)]
    groups += [[0.1] * 3, [0.1 + 0.2, 0.3], [None, None], [0.7, None]]
    sizes = np.cumsum([0, *map(len, groups)])
    layout = lay_out(Groups("problem", [list(range(a, b)) for a, b in pairwise(sizes)], []))
    flat = np.array([np.nan if reward is None else reward for group in groups for reward in group])
    expected = [value for group in groups for value in group_advantages(group, normalize)]
    assert advantages(flat, layout, normalize).tolist() == pytest.approx(expected, abs=1e-9)


def test_tau_b_is_scipys() -> None:
    rng = np.random.default_rng(2)
    sizes = rng.integers(2, 12, 300)
    starts = np.cumsum([0, *sizes])
    layout = lay_out(Groups("problem", [list(range(a, b)) for a, b in pairwise(starts)], []))
    truth, judged = rng.integers(0, 4, (2, starts[-1])) / 4
    found, is_ranked = tau_b(truth, judged, layout)
    for group, (a, b) in enumerate(pairwise(starts)):
        expected = kendalltau(truth[a:b], judged[a:b]).statistic
        assert is_ranked[group] == (len(set(truth[a:b])) > 1)
        assert found[group] == pytest.approx(0.0 if np.isnan(expected) else expected)


def test_matched_groups_hold_neighbours_of_different_problems() -> None:
    rng = random.Random(3)
    cases = [case(f"p{i % 90}", rng.randint(2, 9), 0, 0) for i in range(100)]
    partition = make_groups(cases, "matched", 8, seed=0)
    assert [len(members) for members in partition.groups] == [8] * 12
    placed = [index for members in (*partition.groups, *partition.left_out) for index in members]
    assert sorted(placed) == list(range(100))
    for members in partition.groups:
        assert len({cases[index].problem for index in members}) == 8
    spreads = [[cases[index].num_steps for index in members] for members in partition.groups]
    assert np.mean([max(spread) - min(spread) for spread in spreads]) <= 1
    assert make_groups(cases, "matched", 8, seed=0) == partition
    assert make_groups(cases, "matched", 8, seed=1) != partition


def test_auto_takes_problems_when_most_solutions_share_theirs() -> None:
    mostly = [case(f"p{i // 2}", 4, 0, 0) for i in range(10)] + [case(f"q{i}", 4, 0, 0) for i in range(10)]
    assert make_groups(mostly, "auto", 4, 0).rule == "problem"
    assert make_groups([*mostly, case("q", 4, 0, 0)], "auto", 4, 0).rule == "matched"
    result = measure_fidelity([*mostly, case("q", 4, 0, 0)], FidelitySettings(**FAST, group_size=4))
    assert "across problems" in result["grouping"]["note"]
    assert result["grouping"]["num_left_out"] == 1


def test_cases_come_from_wrong_responses_only() -> None:
    def example(name: str, label: int, correct: bool | None) -> Example:
        return Example("how?", ("a", "b", "c"), label=label, final_answer_correct=correct, id=name, cluster="q")

    examples = [example("0", 1, False), example("1", -1, True), example("2", 2, True), example("3", 2, None)]
    examples += [example("4", 0, False), example("5", 0, False)]
    rows = {
        name: LogRow(id=name, label=0, prediction=prediction, num_steps=3, expected_rts=0.2)
        for name, prediction in zip("0123", (1, -1, 2, -1), strict=True)
    }
    rows["4"] = LogRow(id="4", label=0, prediction=None, reason=UnscoredReason.NO_EVIDENCE, num_steps=3)
    assert fidelity_cases(examples, rows) == [
        FidelityCase("q", 3, 1, 1, 0.2),
        FidelityCase("q", 3, 2, None, 0.2),
        FidelityCase("q", 3, 0, None, None, unscored=True),
    ]


def test_nothing_to_measure_is_none_not_nan() -> None:
    assert measure_fidelity([], FidelitySettings(**FAST))["counts"]["num_wrong"] == 0
    lonely = measure_fidelity([case("p", 4, 1, None)], FidelitySettings(**FAST, grouping="problem"))
    assert set(lonely["figures"].values()) == set(lonely["intervals"].values()) == {None}
    assert lonely["human"]["signal_share"] is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="label = 4 is not one of the 4 steps"):
        measure_fidelity([case("p", 4, 4, 0)], FidelitySettings())
    with pytest.raises(ValueError, match="first_error = -1"):
        measure_fidelity([case("p", 4, 3, -1)], FidelitySettings())
    for rates in ((0.1, 0.5), (0.0, 0.5, 0.5), (0.0, 1.5), ()):
        with pytest.raises(ValidationError, match="noise_rates must rise"):
            FidelitySettings(noise_rates=rates)
