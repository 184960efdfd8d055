"""Where a response states its final answer for the first time. What comes later is no part of the solution."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from judge.final_answer import final_answer

_STATES_ANSWER: Final = re.compile(r"\\boxed|####|\banswers?\b", re.IGNORECASE)


def answer_step(steps: Sequence[str], answer: str | None) -> int | None:
    r"""Index of the first step that says "this is the answer" of the response's final answer, None where none does.

    Args:
        steps: canonical steps.
        answer: the response's final answer (`judge.final_answer.final_answer`).

    >>> answer_step(["3 + 4 = 7", "The answer is 7.", "Ann has 12 apples."], "7")
    1
    """
    if answer is None:
        return None
    return next(
        (i for i, step in enumerate(steps) if _states_answer(step) and final_answer(step) == answer),
        None,
    )


def _states_answer(step: str) -> bool:
    # The hints spare most steps the search; the last one is an s to re.IGNORECASE.
    lowered = step.lower()
    hinted = "answer" in lowered or "#" in lowered or r"\boxed" in lowered or "\u017f" in lowered
    return hinted and _STATES_ANSWER.search(step) is not None
