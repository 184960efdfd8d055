"""What a file's wrong responses are paid for: what the reward server pays, whoever judged."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from judge.defences import DefenceSettings
from judge.paid import PaidShares
from judge.records import InputRow
from judge.steps import segment
from judge.types import Record, Verdict
from judge.verdict_file import format_line
from reward_server.cpu_pool import CpuPool
from reward_server.crediting import Crediting, Part

PROBLEM = "Ann has 3 bags of 4 apples, eats 2 and buys 5 more. How many are left?"
HONEST = "She has 3 * 4 = 12 apples.\nShe eats 2, so 12 - 2 = 9 are left.\nShe buys 5: 9 + 5 = 14.\nThe answer is 14."
PADDED = "\n".join([*["Let us think about it carefully once more."] * 8, HONEST])
SHORT = "3 * 4 = 13\nThe answer is 13."
BARE = "Thought process:"
REFERENCE = "3 * 4 = 12 apples.\n12 - 2 = 10 are left.\n10 + 5 = 15.\nHalf is 7.5.\nTwice is 15.\nThe answer is 15."


def rows_of(texts: list[str], reference: str | None = None, problem: str = PROBLEM) -> list[InputRow]:
    return [
        InputRow(
            Record(problem, tuple(step.text for step in segment(text)), reference_solution=reference, id=str(index)),
            known_wrong=True,
            text=text,
        )
        for index, text in enumerate(texts)
    ]


async def paid_by_the_server(texts: list[str], reference: str | None, first_errors: list[int]) -> list[float]:
    crediting = Crediting(DefenceSettings(), CpuPool(0), None)
    deadline = asyncio.get_running_loop().time() + 60
    readings = await crediting.read(PROBLEM, dict(enumerate(texts)), deadline)
    parts = {index: found.part for index, found in readings.items() if found and isinstance(found.part, Part)}
    measures = await crediting.measure(PROBLEM, reference, parts, "steps", deadline)
    return [measures.defended(index, parts[index], first).rts for index, first in enumerate(first_errors)]


@pytest.mark.parametrize("reference", [None, REFERENCE])
@pytest.mark.parametrize("texts", [[HONEST, PADDED], [HONEST, SHORT, BARE], [SHORT], [PADDED, SHORT, HONEST]])
def test_a_file_is_paid_as_a_group_at_the_server(texts: list[str], reference: str | None) -> None:
    rows = rows_of(texts, reference)
    shares = PaidShares(rows)
    for place in (0, 1, -1):
        first_errors = [range(len(row.record.steps))[min(place, len(row.record.steps) - 1)] for row in rows]
        expected = asyncio.run(paid_by_the_server(texts, reference, first_errors))
        assert [shares.share(row, first) for row, first in zip(rows, first_errors, strict=True)] == expected


def test_padding_pays_nothing() -> None:
    honest, padded = rows_of([HONEST, PADDED])
    shares = PaidShares([honest, padded])
    assert shares.share(padded, 9) == shares.share(honest, 1) == 0.25


def test_groups_are_problems_and_right_answers_are_in_none() -> None:
    honest, short = rows_of([HONEST, "She has 3 * 4 = 12 apples.\nShe eats 2, so 12 - 2 = 11 are left."])
    alone = PaidShares([short]).share(short, 1)
    right = replace(honest, known_wrong=False)
    [elsewhere] = rows_of([HONEST], problem="Another one?")
    assert PaidShares([short, right, elsewhere]).share(short, 1) == alone
    assert PaidShares([short, honest]).share(short, 1) < alone


def test_a_line_says_it_of_known_wrong_responses_only() -> None:
    [row] = rows_of([HONEST])
    assert '"paid_rts": 0.25' in format_line(row, Verdict(1, "j"), PaidShares([row]))
    unknown = replace(row, known_wrong=False)
    for line in (format_line(unknown, Verdict(1, "j"), PaidShares([unknown])), format_line(row, Verdict(1, "j"))):
        assert '"paid_rts": null' in line
