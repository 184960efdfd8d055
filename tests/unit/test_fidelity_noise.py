"""The noise curve against expectations enumerated by brute force, and the reading of a judge's worth from it."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import numpy as np
import pytest

from eval.fidelity import FidelitySettings, measure_fidelity
from eval.fidelity_groups import FidelityCase
from eval.fidelity_noise import noisy_rts, worth

LABELS, NUM_STEPS = (0, 2, 1), (2, 4, 3)


def cases(first_errors: tuple[int | None, ...] = LABELS) -> list[FidelityCase]:
    triples = zip(NUM_STEPS, LABELS, first_errors, strict=True)
    return [FidelityCase("p", num_steps, label, judged) for num_steps, label, judged in triples]


def figures_of(first_errors: tuple[int | None, ...]) -> dict[str, float]:
    settings = FidelitySettings(noise_seeds=1, noise_rates=(0.0,), num_resamples=1)
    found = measure_fidelity(cases(first_errors), settings)["figures"]
    return {name: math.nan if value is None else value for name, value in found.items()}


def expectation(rate: float, kind: str) -> dict[str, float]:
    """The mean of the figures over everything the noise can do to three labels."""
    choices: list[list[tuple[int | None, float]]] = []
    for label, num_steps in zip(LABELS, NUM_STEPS, strict=True):
        others: list[int | None] = [step for step in range(num_steps) if step != label] if kind == "moved" else [None]
        choices.append([(label, 1 - rate), *((other, rate / len(others)) for other in others)])
    totals: dict[str, float] = {}
    known: dict[str, float] = {}
    for outcome in itertools.product(*choices):
        probability = math.prod(chance for _, chance in outcome)
        for name, value in figures_of(tuple(step for step, _ in outcome)).items():
            if probability and not math.isnan(value):
                totals[name] = totals.get(name, 0.0) + probability * value
                known[name] = known.get(name, 0.0) + probability
    return {name: total / known[name] for name, total in totals.items()}


@pytest.mark.parametrize("kind", ["moved", "flipped"])
def test_the_curve_is_the_expectation_over_all_noise(kind: str) -> None:
    settings = FidelitySettings(noise_seeds=1000, noise_rates=(0.0, 0.3, 1.0), num_resamples=1)
    curve = measure_fidelity(cases(), settings)["noise"][kind]
    assert [point["rate"] for point in curve] == [0.0, 0.3, 1.0]
    for point in curve:
        expected = expectation(point["rate"], kind)
        assert {name for name, value in point.items() if value is not None} == {"rate", *expected}
        for name, value in expected.items():
            # four standard errors of a mean of 1,000 values in [-1, 1]
            assert point[name] == pytest.approx(value, abs=0.0 if point["rate"] == 0 else 0.13), name
    assert (curve[0]["tau_b"], curve[0]["rts_mae"], curve[0]["cosine"]) == pytest.approx((1.0, 0.0, 1.0))


def test_two_steps_leave_one_place_to_move_to() -> None:
    """All labels moved: RTS 0 and 1/2 change places, exactly."""
    labels, num_steps = np.array([0, 1, 0]), np.array([2, 2, 1])
    kept, moved = noisy_rts(labels, num_steps, "moved", (0.0, 1.0), seed=5)
    assert kept.tolist() == [0.0, 0.5, 0.0]
    assert moved.tolist() == [0.5, 0.0, 0.0], "the only step of a response stays where it is"
    two = [FidelityCase("p", 2, label, label) for label in (0, 1)]
    settings = FidelitySettings(noise_seeds=2, noise_rates=(0.0, 1.0), num_resamples=1)
    last = measure_fidelity(two, settings)["noise"]["moved"][-1]
    assert (last["rts_mae"], last["tau_b"], last["cosine"], last["sign_opposite"]) == pytest.approx((0.5, -1, -1, 1))


def test_moved_labels_are_uniform_over_the_other_steps() -> None:
    labels, num_steps = np.full(40_000, 2), np.full(40_000, 5)
    [rts] = noisy_rts(labels, num_steps, "moved", (0.25,), seed=0)
    shares = np.bincount(np.rint(rts * 5).astype(int), minlength=5) / 40_000
    assert shares == pytest.approx([0.0625, 0.0625, 0.75, 0.0625, 0.0625], abs=0.006)


def test_what_is_wrong_at_a_low_rate_stays_wrong_at_a_higher_one() -> None:
    labels, num_steps = np.arange(100) % 5, np.full(100, 5)
    low, high = noisy_rts(labels, num_steps, "moved", (0.2, 0.6), seed=0)
    is_changed = low != labels / 5
    assert 0 < is_changed.sum() < 40
    assert (high[is_changed] == low[is_changed]).all()


def test_flipped_labels_score_nothing() -> None:
    settings = FidelitySettings(noise_seeds=3, noise_rates=(0.0, 1.0), num_resamples=1)
    result = measure_fidelity(cases(), settings)
    last = result["noise"]["flipped"][-1]
    assert (last["cosine"], last["sign_agreement"], last["signal_share"], last["rts_mae"]) == (0.0, 0.0, 0.0, None)
    assert set(result["worth"]["flipped"]) == {"cosine", "cosine_pooled", "sign_agreement", "signal_share"}


RATES = (0.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("curve", "value", "lower_is_better", "expected"),
    [
        ((1.0, 0.6, 0.0), 1.0, False, 0.0),
        ((1.0, 0.6, 0.0), 0.9, False, 0.125),
        ((1.0, 0.6, 0.0), 0.6, False, 0.5),
        ((1.0, 0.6, 0.0), 0.15, False, 0.875),
        ((1.0, 0.6, 0.0), 0.0, False, 1.0),
        ((1.0, 0.6, 0.0), -0.1, False, math.nan),
        ((0.9, 0.6, 0.0), 1.0, False, 0.0),
        ((0.0, 0.1, 0.3), 0.2, True, 0.75),
        ((0.0, 0.1, 0.3), 0.4, True, math.nan),
        ((1.0, 0.2, 0.6), 0.4, False, 0.375),
        ((1.0, math.nan, 0.6), 0.4, False, math.nan),
        ((1.0, 0.6, 0.0), math.nan, False, math.nan),
    ],
)
def test_worth_is_read_off_the_curve(
    curve: tuple[float, ...], value: float, lower_is_better: bool, expected: float
) -> None:
    found = worth(RATES, curve, value, lower_is_better=lower_is_better)
    assert found == pytest.approx(expected, nan_ok=True)


def noisy_judge(rate: float, seed: int) -> list[FidelityCase]:
    """80 groups of 8 with a judge that is the human label moved at a known rate."""
    rng = random.Random(seed)
    made = []
    for index in range(640):
        num_steps = rng.randint(3, 8)
        label = rng.randrange(num_steps)
        other = rng.choice([step for step in range(num_steps) if step != label])
        made.append(FidelityCase(f"p{index // 8}", num_steps, label, other if rng.random() < rate else label))
    return made


@pytest.mark.parametrize("rate", [0.15, 0.5])
def test_a_judge_with_known_noise_is_worth_its_noise(rate: float) -> None:
    result: dict[str, Any] = measure_fidelity(noisy_judge(rate, seed=7), FidelitySettings(noise_seeds=10))
    for name, found in result["worth"]["moved"].items():
        assert found["rate"] == pytest.approx(rate, abs=0.06), name
        low, high = found["interval"]
        assert low < found["rate"] < high
        assert low < rate < high


def test_intervals_are_percentiles_over_resampled_groups() -> None:
    """The share of groups with a signal is a plain mean of 0s and 1s: binomial."""
    made = [FidelityCase(f"p{g}", 4, step, step if g < 30 else 0) for g in range(40) for step in (0, 3)]
    settings = FidelitySettings(noise_seeds=1, num_resamples=4000)
    result = measure_fidelity(made, settings)
    error = math.sqrt(0.75 * 0.25 / 40)
    assert result["figures"]["signal_share"] == 0.75
    assert result["intervals"]["signal_share"] == pytest.approx([0.75 - 1.96 * error, 0.75 + 1.96 * error], abs=0.03)


def test_the_seed_decides_everything() -> None:
    made = noisy_judge(0.3, seed=1)[:160]
    settings = FidelitySettings(grouping="matched", num_resamples=50, noise_seeds=2)
    assert measure_fidelity(made, settings, seed=4) == measure_fidelity(made, settings, seed=4)
    assert measure_fidelity(made, settings, seed=4) != measure_fidelity(made, settings, seed=5)
