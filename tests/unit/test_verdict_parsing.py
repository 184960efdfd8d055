"""The critic's menu: what is read as a verdict, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.types import NO_ERROR
from judge.verdict_parsing import OffMenu, Vote, majority, parse_verdict


@pytest.mark.parametrize(
    ("reply", "index"),
    [
        (r"Paragraph 2 is wrong. \boxed{2}", 2),
        (r"\boxed{0}, no: \boxed{3}.", 3),
        (r"\boxed { 1 }", 1),
        (r"$$\boxed{1}$$", 1),
        (r"all right \boxed{-1}", NO_ERROR),
        (r"<think>\boxed{0}</think> \boxed{3}", 3),
        (r"\boxed{1} <think>or \boxed{2}", 1),
    ],
)
def test_last_box_is_the_verdict(reply: str, index: int) -> None:
    assert parse_verdict(reply, 4, known_wrong=False) == index


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Paragraph 2 is wrong.",
        "boxed{2}",
        r"\boxed{}",
        r"\boxed{2",
        r"\boxed{two}",
        r"\boxed{2.0}",
        r"\boxed{4}",
        r"\boxed{-2}",
        r"\boxed{+1}",
        r"\boxed{1_0}",
        r"\boxed{٢}",
        r"\boxed{\text{2}}",
        r"\boxed{paragraph_2}",
        r"\boxed{1, 2}",
        r"\boxed{99999999999999999999}",
        r"\boxed{1} or rather \boxed{none}",
        r"\boxed{1} and then \boxed",
        r"\fbox{2}",
        r"<think>perhaps \boxed{2}",
        r"<think>\boxed{2}</think> I am not sure",
    ],
)
def test_off_the_menu(reply: str) -> None:
    with pytest.raises(OffMenu):
        parse_verdict(reply, 4, known_wrong=False)


def test_no_error_is_off_the_menu_when_known_wrong() -> None:
    with pytest.raises(OffMenu, match="known to be wrong"):
        parse_verdict(r"\boxed{2} no, \boxed{-1}", 4, known_wrong=True)


@given(
    st.text(alphabet=st.sampled_from(list("\\boxed{}-0123456789 <>/think\n")), max_size=60),
    st.integers(1, 9),
    st.booleans(),
)
def test_any_reply_gives_a_possible_index_or_off_menu(reply: str, num_steps: int, known_wrong: bool) -> None:
    try:
        index = parse_verdict(reply, num_steps, known_wrong=known_wrong)
    except OffMenu:
        return
    assert 0 <= index < num_steps or (index == NO_ERROR and not known_wrong)


@pytest.mark.parametrize(
    ("votes", "winner", "share"),
    [([2], 2, 1.0), ([1, 2, 2], 2, 2 / 3), ([3, 1, 1, 3], 1, 0.5), ([-1, 4], 4, 0.5), ([-1, -1, 4], -1, 2 / 3)],
)
def test_majority_and_ties(votes: list[int], winner: int, share: float) -> None:
    assert majority(votes) == Vote(winner, pytest.approx(share))
    assert majority(votes[::-1]) == Vote(winner, pytest.approx(share))
