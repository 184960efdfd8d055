"""Which samples of a problem give the same answer, so that a majority can be counted.

math-verify's equality is not transitive. So the classes are defined by an order: all answers that equal the reference
are one class, and each other answer joins the first class whose first answer it equals. A class is then right as a
whole or wrong as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from judge.answers import AnswerFailure, AnswerItem
from judge.data.labels.monte_carlo import Checker
from judge.final_answer import final_answer


async def cast_votes(
    texts: Sequence[str], outcomes: Sequence[bool | AnswerFailure], checker: Checker
) -> list[int | None]:
    """The class of every sample: the index of the first sample in it.

    Two answers that cannot be compared count as different. A sample without an answer, or whose answer could not be
    checked against the reference, has no vote (None).

    Args:
        texts: the responses to one problem.
        outcomes: what the checker said of each against the reference answer.
    """
    votes: list[int | None] = []
    first_right: int | None = None
    wrong: dict[int, str] = {}
    for index, (text, outcome) in enumerate(zip(texts, outcomes, strict=True)):
        answer = final_answer(text)
        if isinstance(outcome, AnswerFailure) or answer is None:
            votes.append(None)
        elif outcome:
            first_right = index if first_right is None else first_right
            votes.append(first_right)
        else:
            same = await checker.check([AnswerItem(text, other) for other in wrong.values()])
            found = next((first for first, equal in zip(wrong, same, strict=True) if equal is True), None)
            if found is None:
                wrong[index] = answer
            votes.append(index if found is None else found)
    return votes
