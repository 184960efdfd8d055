"""From responses of the study to advantages, by value."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.learning.arms import Arm, sgpo
from benchmarks.learning.credit import Facts, score_group, token_advantages
from benchmarks.learning.oracle import Truth


def _facts(first_errors: list[int], length: int = 4, claims: list[int] | None = None) -> Facts:
    """Responses of ``length`` steps; with ``claims``, only that many steps from the end on state a value."""
    first = torch.tensor(first_errors)
    num_claims = torch.tensor(claims or [length] * len(first))
    steps = torch.full_like(first, length)
    before = (torch.arange(length + 1) - (length - num_claims).unsqueeze(1)).clamp(min=0)
    return Facts(Truth(first == length, steps, num_claims, first, before, torch.empty(0), first / length))


def _curve(rts: float) -> float:
    return 0.5 / (1 + math.exp(10 * (0.5 - rts)))


def _rewards(arm: Arm, facts: Facts, named: list[int | None], reference: int | None = 4) -> list[float | None]:
    group = score_group(arm, facts, range(len(named)), named, reference)
    return [score.reward for score in group.scores]


def test_whose_wrong_responses_are_judged() -> None:
    mixed, negative = _facts([4, 1, 3]), _facts([0, 1, 3])
    grpo, default, every = Arm("", {"name": "grpo"}), sgpo(""), sgpo("", groups="every_wrong")
    assert _rewards(grpo, negative, [0, 1, 3]) == [0, 0, 0]
    assert _rewards(default, mixed, [4, 1, 3]) == [1, 0, 0]
    assert _rewards(default, negative, [0, 1, None]) == [pytest.approx(_curve(0)), pytest.approx(_curve(0.25)), None]
    assert _rewards(every, mixed, [4, 1, 3]) == [1, pytest.approx(_curve(0.25)), pytest.approx(_curve(0.75))]


def test_defences_count_claims_against_the_usual_length() -> None:
    # Three of four steps say nothing, and the judge names the last: naively 3/4 right, in truth nothing.
    facts = _facts([3, 0], claims=[1, 4])
    undefended = Arm("", {"name": "sgpo"}, defended=False)
    assert _rewards(undefended, facts, [3, 0])[0] == pytest.approx(_curve(0.75))
    assert _rewards(sgpo(""), facts, [3, 0])[0] == pytest.approx(_curve(0.0))
    # Two values where a solution has eight: the one before the error is an eighth.
    assert _rewards(sgpo(""), _facts([3, 0], claims=[2, 2]), [3, 0], 8)[0] == pytest.approx(_curve(1 / 8))
    # Without a reference the group's median is the usual length.
    assert _rewards(sgpo(""), _facts([3, 0], claims=[2, 4]), [3, 0], None)[0] == pytest.approx(_curve(1 / 3))


def test_advantages_of_tokens() -> None:
    facts = _facts([0, 2])
    named: list[int | None] = [0, 2]
    low, high = _curve(0), _curve(0.5)
    half = (high - low) / 2

    def of(arm: Arm, facts: Facts = facts) -> list[list[float]]:
        group = score_group(arm, facts, range(2), named, 4)
        return [list(row) for row in token_advantages(arm, group, [4, 4], 5, (0, 1)).tolist()]

    def row(*values: float) -> object:
        return pytest.approx(list(values), abs=1e-6)

    assert of(sgpo("", credit="response")) == [row(*[-half] * 4, 0), row(*[half] * 4, 0)]
    assert of(sgpo("", credit="prefix")) == [row(*[-half] * 4, 0), row(half, half, 0, 0, 0)]
    scale = math.sqrt(2) * half + 1e-4
    assert of(sgpo("", scale="std", credit="response"))[1] == row(*[half / scale] * 4, 0)
    # In a mixed group only every_wrong knows the prefix of the wrong response.
    rest = (1 - high) / 2
    mixed = _facts([4, 2])
    assert of(sgpo("", credit="prefix", groups="every_wrong"), mixed)[1] == row(0, 0, -rest, -rest, 0)
    assert of(sgpo("", credit="prefix"), mixed)[1] == row(*[-0.5] * 4, 0)
    assert of(Arm("", {"name": "grpo"})) == [row(*[0] * 5)] * 2
