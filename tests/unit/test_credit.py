"""Prefix credit: which token the first wrong step begins at, and what the tokens before and after it get."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpo_client.credit import prefix_advantages, token_advantages, token_at
from sgpo_client.settings.sgpo import Credit
from sgpo_client.types import Rollout
from sgpo_client.wire import ResponseScore

WORDS = ["", " ", "3", " * 4", " = ", "13", "\n", "So", " 13 -", " 2 =", " 11", "\nThe", " answer", " is 11."]


def decode(ids: list[int]) -> str:
    return "".join(WORDS[index] for index in ids)


def _rollout(ids: list[int]) -> Rollout:
    return Rollout(prompt_ids=[1], response_ids=ids, text=decode(ids).strip(), truncated=False)


def _judged(rollout: Rollout, first_error: int | None) -> ResponseScore:
    """Steps are lines."""
    offsets, start = [], 0
    for line in rollout.text.split("\n"):
        offsets.append((start, start + len(line)))
        start += len(line) + 1
    return ResponseScore("0", 0.1, "judged", 0, first_error=first_error, step_offsets=tuple(offsets))


RESPONSE = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]


@pytest.mark.parametrize(("first_error", "first_wrong_token"), [(0, 1), (1, 6), (2, 10)])
def test_the_first_wrong_step_begins_at_its_token(first_error: int, first_wrong_token: int) -> None:
    """The first token is a blank that the server never sees; the last step's is a line break with its first word."""
    rollout = _rollout(RESPONSE)
    start, _ = _judged(rollout, first_error).step_offsets[first_error]
    assert token_at(rollout.response_ids, start, decode) == first_wrong_token
    assert rollout.text[start] in WORDS[rollout.response_ids[first_wrong_token]]


def test_a_bad_response_is_punished_from_its_first_wrong_step_on() -> None:
    rollout = _rollout(RESPONSE)
    found = token_advantages(rollout, _judged(rollout, 1), -0.3, "prefix", 0.0, decode)
    assert found == [0.0] * 6 + [-0.3] * 7


def test_a_better_response_is_paid_up_to_its_first_wrong_step() -> None:
    rollout = _rollout(RESPONSE)
    assert token_advantages(rollout, _judged(rollout, 1), 0.3, "prefix", 0.0, decode) == [0.3] * 6 + [0.0] * 7
    assert token_advantages(rollout, _judged(rollout, 1), 0.3, "prefix", 0.1, decode) == [0.3] * 6 + [-0.1] * 7


@pytest.mark.parametrize(
    ("credit", "first_error"), [("response", 1), ("prefix", None)], ids=["whole responses", "no wrong step known"]
)
def test_otherwise_every_token_has_its_responses_advantage(credit: Credit, first_error: int | None) -> None:
    rollout = _rollout(RESPONSE)
    assert token_advantages(rollout, _judged(rollout, first_error), -0.3, credit, 0.0, decode) == [-0.3] * 13


@given(ids=st.lists(st.integers(0, len(WORDS) - 1), max_size=20), data=st.data())
def test_bisection_finds_what_a_search_from_the_left_finds(ids: list[int], data: st.DataObject) -> None:
    text = decode(ids)
    position = data.draw(st.integers(0, len(text.strip())))
    target = position + len(text) - len(text.lstrip())
    expected = next((i for i in range(len(ids)) if len(decode(ids[: i + 1])) > target), len(ids))
    assert token_at(ids, position, decode) == expected


@given(
    advantage=st.floats(-2, 2),
    length=st.integers(0, 9),
    share=st.floats(0, 1),
    penalty=st.floats(0, 1, allow_nan=False),
)
def test_the_prefix_is_never_punished_and_the_rest_never_rewarded(
    advantage: float, length: int, share: float, penalty: float
) -> None:
    first_wrong = round(length * share)
    found = prefix_advantages(advantage, length, first_wrong, penalty)
    assert len(found) == length
    assert all(value >= 0 for value in found[:first_wrong])
    assert all(value <= 0 for value in found[first_wrong:])


def test_a_response_that_was_not_judged_in_this_run_is_not_split() -> None:
    """Recorded verdicts may stand beside a reward that has nothing to do with them."""
    rollout = _rollout(RESPONSE)
    score = replace(_judged(rollout, 1), status="wrong")
    assert token_advantages(rollout, score, -0.3, "prefix", 0.0, decode) == [-0.3] * 13


def test_offsets_into_a_text_that_was_sent_with_its_white_space() -> None:
    stripped = _rollout(RESPONSE)
    sent = replace(stripped, text=decode(RESPONSE))
    assert sent.text != stripped.text
    shifted = tuple((start + 1, end + 1) for start, end in _judged(stripped, 1).step_offsets)
    score = replace(_judged(stripped, 1), step_offsets=shifted)
    expected = token_advantages(stripped, _judged(stripped, 1), -0.3, "prefix", 0.0, decode)
    assert token_advantages(sent, score, -0.3, "prefix", 0.0, decode) == expected
