from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from judge.decoding import (
    Decoded,
    decode_cold,
    decode_known_wrong,
    first_error_distribution,
    median_first_error,
)
from judge.shaping import rts

hazard = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 1e-300, 5e-324, 1e-17, math.nextafter(1, 0)])
hazards = st.lists(hazard, min_size=1, max_size=8)
sizes = st.lists(st.integers(1, 500), min_size=8, max_size=8)


def by_enumeration(probs):
    """The first-error distribution by adding up all 2^n patterns of right and wrong steps."""
    at, nowhere = [0.0] * len(probs), 0.0
    for pattern in product([False, True], repeat=len(probs)):
        weight = math.prod(p if wrong else 1 - p for p, wrong in zip(probs, pattern, strict=True))
        if any(pattern):
            at[pattern.index(True)] += weight
        else:
            nowhere += weight
    return at, nowhere


@given(hazards)
def test_distribution_equals_enumeration_and_sums_to_one(probs):
    at, nowhere = first_error_distribution(probs)
    expected_at, expected_nowhere = by_enumeration(probs)
    assert at == pytest.approx(expected_at, rel=1e-9, abs=1e-15)
    assert nowhere == pytest.approx(expected_nowhere, rel=1e-9, abs=1e-15)
    assert math.fsum([*at, nowhere]) == pytest.approx(1)


@given(hazards, sizes)
def test_known_wrong_equals_conditioned_enumeration(probs, lengths):
    lengths = lengths[: len(probs)]
    at, _ = by_enumeration(probs)
    decoded = decode_known_wrong(probs, lengths)
    if not any(probs):
        assert decoded == Decoded(None, None, None)
        return
    shares = [a / math.fsum(at) for a in at]
    assert decoded.confidence == pytest.approx(max(shares), rel=1e-6)
    assert shares[decoded.first_error] == pytest.approx(max(shares), rel=1e-6)
    expected = math.fsum(share * rts(step, lengths) for step, share in enumerate(shares))
    assert decoded.expected_rts == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert 0 <= decoded.expected_rts < 1
    assert 0 < decoded.confidence <= 1


@given(hazards, sizes, st.floats(0, 1))
def test_cold_equals_enumeration(probs, lengths, threshold):
    lengths = lengths[: len(probs)]
    at, nowhere = by_enumeration(probs)
    decoded = decode_cold(probs, threshold, lengths)
    expected = nowhere + math.fsum(a * rts(step, lengths) for step, a in enumerate(at))
    assert decoded.expected_rts == pytest.approx(expected, rel=1e-9, abs=1e-12)
    if decoded.first_error is None:
        assert math.fsum(at) <= threshold + 1e-9
        assert decoded.confidence == pytest.approx(nowhere, abs=1e-12)
    else:
        assert math.fsum(at) > threshold - 1e-9
        assert at[decoded.first_error] == pytest.approx(max(at), rel=1e-9)
        assert decoded.confidence == pytest.approx(max(at), rel=1e-9)


@pytest.mark.parametrize(
    ("probs", "expected"),
    [
        ([0.2], Decoded(0, 0.0, 1.0)),
        ([1.0, 1.0], Decoded(0, 0.0, 1.0)),
        ([0.0, 1.0, 0.5, 0.0], Decoded(1, 0.25, 1.0)),
        ([0.0, 0.0, 1e-300, 0.0], Decoded(2, 0.5, 1.0)),
        ([0.0, 0.0], Decoded(None, None, None)),
        ([0.5, 1.0], Decoded(0, 0.25, 0.5)),
    ],
)
def test_known_wrong_by_value(probs, expected):
    assert decode_known_wrong(probs) == expected


def test_known_wrong_weighs_by_length():
    assert decode_known_wrong([0.5, 1.0], [9, 1]).expected_rts == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("probs", "threshold", "first_error", "confidence"),
    [
        ([0.1, 0.3], 0.5, None, 0.63),
        ([0.1, 0.3], 0.36, 1, 0.27),
        ([0.9, 0.9], 0.5, 0, 0.9),
        ([0.0, 0.0], 0.0, None, 1.0),
        ([1.0, 0.0], 1.0, None, 0.0),
    ],
)
def test_cold_by_value(probs, threshold, first_error, confidence):
    decoded = decode_cold(probs, threshold)
    assert decoded.first_error == first_error
    assert decoded.confidence == pytest.approx(confidence)


def test_long_responses_do_not_underflow():
    decoded = decode_known_wrong([1e-12] * 5000)
    assert decoded.confidence == pytest.approx(1 / 5000, rel=1e-6)
    assert decoded.expected_rts == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("probs", [[], [-0.1], [0.5, 1.1], [math.nan]])
@pytest.mark.parametrize("decode", [first_error_distribution, decode_known_wrong, decode_cold])
def test_what_is_not_a_probability_is_refused(decode, probs):
    with pytest.raises(ValueError, match="step"):
        decode(probs)


@pytest.mark.parametrize("lengths", [[1], [1, 1, 1], [0, 1]])
@pytest.mark.parametrize("decode", [decode_known_wrong, decode_cold])
def test_lengths_must_fit(decode, lengths):
    with pytest.raises(ValueError, match=r"length|zip"):
        decode([0.5, 0.5], lengths=lengths)


@example([5e-324])
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_the_median_has_the_smallest_expected_absolute_error(hazards: list[float]) -> None:
    probs, _ = first_error_distribution(hazards)
    median = median_first_error(hazards)
    if sum(probs) == 0:
        assert median is None
        return
    errors = [sum(prob * abs(step - guess) for step, prob in enumerate(probs)) for guess in range(len(probs))]
    assert median is not None
    assert errors[median] == pytest.approx(min(errors), abs=1e-9)
