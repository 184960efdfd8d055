"""Whether each response's final answer is right: said by the caller, or compared with the reference answer."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from judge.answers import AnswerChecker, AnswerFailure, AnswerItem
from judge.types import UnscoredReason
from reward_server.schemas import GroupIn, ResponseIn


class Failure(NamedTuple):
    """Why something about a response is not known."""

    reason: UnscoredReason
    message: str


Outcome = bool | Failure
NO_ANSWER = Failure(UnscoredReason.NO_ANSWER, "give the response an 'outcome' or its group a 'reference_answer'")
NOT_CHECKED = Failure(UnscoredReason.OUTCOME_ERROR, "the final answer was not checked before the request's deadline")


async def find_outcomes(group: GroupIn, checker: AnswerChecker, deadline: float) -> list[Outcome]:
    """One outcome for each response of the group, in order.

    Args:
        group: as it came.
        checker: compares answers.
        deadline: on the event loop's clock; what is not compared by then is a `Failure`.
    """
    known: dict[int, Outcome] = {}
    open_items: dict[int, AnswerItem] = {}
    for index, response in enumerate(group.responses):
        outcome = known_outcome(response, group.reference_answer)
        if outcome is not None:
            known[index] = outcome
        else:
            assert group.reference_answer is not None
            open_items[index] = AnswerItem(response=response.text, reference=group.reference_answer)
    if open_items:
        found = await compare(list(open_items.values()), checker, deadline)
        known.update(zip(open_items, found, strict=True))
    return [known[index] for index in range(len(group.responses))]


def known_outcome(response: ResponseIn, reference_answer: str | None) -> Outcome | None:
    """The outcome that needs no comparison, or None."""
    if response.outcome is not None:
        return response.outcome
    if not response.text.strip():
        return False
    return NO_ANSWER if reference_answer is None else None


async def compare(items: list[AnswerItem], checker: AnswerChecker, deadline: float) -> list[Outcome]:
    """Compare final answers with their references."""
    try:
        async with asyncio.timeout_at(deadline):
            results = await checker.check(items)
    except TimeoutError:
        return [NOT_CHECKED] * len(items)
    return [
        Failure(UnscoredReason.OUTCOME_ERROR, result.message) if isinstance(result, AnswerFailure) else result
        for result in results
    ]
