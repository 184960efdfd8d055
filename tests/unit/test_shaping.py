from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.errors import ConfigError
from judge.shaping import Shaping, group_rewards, is_all_negative, rts, shaped_reward, step_lengths

betas = st.floats(0, 30, exclude_min=True, allow_subnormal=False)
gammas = st.floats(0, 1)
caps = st.floats(0, 1, exclude_min=True, exclude_max=True, allow_subnormal=False)
shapings = st.builds(Shaping, betas, gammas, caps)
ratios = st.floats(0, 1)
lengths = st.lists(st.integers(1, 10_000), min_size=1, max_size=50)


@pytest.mark.parametrize(
    ("first_error", "sizes", "expected"),
    [(0, [1], 0.0), (0, [3, 5], 0.0), (1, [3, 5], 0.375), (3, [1, 1, 1, 1, 1], 0.6), (2, [10, 20, 70], 0.3)],
)
def test_rts_is_the_share_before_the_first_error(first_error, sizes, expected):
    assert rts(first_error, sizes) == expected


@pytest.mark.parametrize(("first_error", "sizes"), [(0, []), (-1, [1, 2]), (2, [1, 2]), (0, [0, 1]), (1, [3, -1])])
def test_rts_refuses_what_is_not_a_step(first_error, sizes):
    with pytest.raises(ValueError, match="step"):
        rts(first_error, sizes)


@given(lengths, st.data())
def test_rts_is_below_one_and_grows_with_the_first_error(sizes, data):
    first_error = data.draw(st.integers(0, len(sizes) - 1))
    value = rts(first_error, sizes)
    assert 0 <= value < 1
    if first_error:
        assert value > rts(first_error - 1, sizes)


# Computed by hand from 1 / (1 + exp(beta * (gamma - rts))), times the cap.
@pytest.mark.parametrize(
    ("value", "shaping", "expected"),
    [
        (0.0, Shaping(10, 0.5, 0.5), 0.5 * 0.0066928509242848554),
        (0.6, Shaping(10, 0.5, 0.5), 0.5 * 0.7310585786300049),
        (0.4, Shaping(10, 0.5, 0.5), 0.5 * 0.2689414213699951),
        (1.0, Shaping(10, 0.5, 0.5), 0.5 * 0.9933071490757153),
        (0.75, Shaping(4, 0.25, 0.9), 0.9 * 0.8807970779778823),
    ],
)
def test_shaped_reward_has_the_values_and_the_sign_of_the_paper(value, shaping, expected):
    assert shaped_reward(value, shaping) == pytest.approx(expected, rel=1e-12)


@given(ratios, shapings)
def test_shaped_reward_equals_the_published_formula(value, shaping):
    published = shaping.cap * (1 / (1 + math.exp(shaping.beta * (shaping.gamma - value))))
    assert shaped_reward(value, shaping) == pytest.approx(published, rel=1e-12)


@given(ratios, shapings)
def test_shaped_reward_is_positive_and_below_cap_and_one(value, shaping):
    assert 0 < shaped_reward(value, shaping) < shaping.cap < 1


@given(ratios, ratios, shapings)
def test_shaped_reward_never_falls_with_rts(first, second, shaping):
    low, high = sorted((first, second))
    assert shaped_reward(low, shaping) <= shaped_reward(high, shaping)


@given(st.integers(0, 199), st.integers(1, 200), st.floats(0.01, 30), gammas, caps)
def test_shaped_reward_strictly_increases_over_visible_differences(position, extra, beta, gamma, cap):
    shaping = Shaping(beta, gamma, cap)
    low, high = position / 200, min(position + extra, 200) / 200
    assert shaped_reward(low, shaping) < shaped_reward(high, shaping)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_shaped_reward_refuses_what_is_not_a_ratio(value):
    with pytest.raises(ValueError, match="rts"):
        shaped_reward(value, Shaping())


@pytest.mark.parametrize(
    ("key", "value"),
    [("beta", v) for v in (0, -1, 30.1, math.nan, math.inf)]
    + [("gamma", v) for v in (-0.01, 1.01, math.nan)]
    + [("cap", v) for v in (0, 1, -0.5, 1.5, math.nan)],
)
def test_shaping_refuses_values_out_of_range_by_name(key, value):
    with pytest.raises(ConfigError, match=rf"shaping\.{key} = "):
        Shaping(**{key: value})


def test_step_lengths_in_each_unit():
    steps = ["one two", "three", ""]
    assert step_lengths(steps, "steps") == [1, 1, 1]
    assert step_lengths(steps, "characters") == [7, 5, 1]
    assert step_lengths(steps, "tokens", lambda text: len(text.split())) == [2, 1, 1]


def test_tokens_need_a_tokenizer():
    with pytest.raises(ConfigError, match=r"shaping\.length"):
        step_lengths(["a"], "tokens")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], False),
        ([None], False),
        ([None, None], False),
        ([False], True),
        ([False, False], True),
        ([False, None], False),
        ([True], False),
        ([False, True], False),
        ([None, True, False], False),
    ],
)
def test_all_negative_means_known_and_wrong_throughout(outcomes, expected):
    assert is_all_negative(outcomes) is expected


R4, R6 = shaped_reward(0.4, Shaping()), shaped_reward(0.6, Shaping())


@pytest.mark.parametrize(
    ("outcomes", "values", "apply_to", "expected"),
    [
        ([False, False], [0.4, 0.6], "all_negative", [R4, R6]),
        ([False, False], [0.4, None], "all_negative", [R4, None]),
        ([False, None], [0.4, 0.6], "all_negative", [0.0, None]),
        ([False, None], [0.4, 0.6], "every_wrong", [R4, None]),
        ([False, True], [0.4, 0.6], "all_negative", [0.0, 1.0]),
        ([False, True], [None, None], "all_negative", [0.0, 1.0]),
        ([False, True, None], [None, None, None], "all_negative", [0.0, 1.0, None]),
        ([None, None], [0.4, 0.6], "all_negative", [None, None]),
        ([False, True], [0.4, 0.6], "every_wrong", [R4, 1.0]),
        ([False, True], [None, None], "every_wrong", [None, 1.0]),
        ([False, False], [0.4, None], "every_wrong", [R4, None]),
        ([False, False], [0.4, 0.6], "none", [0.0, 0.0]),
        ([False, True, None], [0.4, None, 0.6], "none", [0.0, 1.0, None]),
        ([], [], "all_negative", []),
    ],
)
def test_group_rule(outcomes, values, apply_to, expected):
    assert group_rewards(outcomes, values, Shaping(), apply_to) == expected


groups = st.lists(st.tuples(st.sampled_from([True, False, None]), st.none() | ratios), max_size=8)


@given(groups, shapings, st.sampled_from(["all_negative", "every_wrong", "none"]))
def test_every_correct_response_beats_every_wrong_one(group, shaping, apply_to):
    outcomes, values = [g[0] for g in group], [g[1] for g in group]
    rewards = group_rewards(outcomes, values, shaping, apply_to)
    wrong = [r for r, o in zip(rewards, outcomes, strict=True) if o is False and r is not None]
    assert all(r == 1.0 for r, o in zip(rewards, outcomes, strict=True) if o)
    assert all(r is None for r, o in zip(rewards, outcomes, strict=True) if o is None)
    assert all(0 <= r < shaping.cap for r in wrong)


def test_group_lists_must_have_one_length():
    with pytest.raises(ValueError, match="zip"):
        group_rewards([False], [], Shaping(), "none")
