"""The defences against reward hacking that can be switched off, so that their worth can be measured.

Off means: steps are the lines of the response, blank ones and invisible ones included, instead of
`judge.steps.segment`'s; and judges that prompt a language model show the steps as they are, instead of what
`judge.prompting.neutralize` leaves of them.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol, runtime_checkable

from judge.judges.base import Judge
from judge.steps import segment

Defences = Literal["on", "off"]
BOTH: Final[tuple[Defences, ...]] = ("on", "off")


@runtime_checkable
class Defended(Protocol):
    """A judge with a defence of its own."""

    def undefended(self) -> Judge:
        """The same judge without it; shares the backend, and is not closed by itself."""
        ...


def judge_with(judge: Judge, defences: Defences) -> Judge:
    """The judge, or the same one without its own defence where it has one."""
    return judge.undefended() if defences == "off" and isinstance(judge, Defended) else judge


def cut(text: str, defences: Defences) -> tuple[str, ...]:
    r"""The steps of a response.

    >>> text = "Ann buys 3 + 4 = 7 eggs.\n\n---\nThe answer is 7."
    >>> cut(text, "on"), cut(text, "off")
    (('Ann buys 3 + 4 = 7 eggs.', 'The answer is 7.'), ('Ann buys 3 + 4 = 7 eggs.', '', '---', 'The answer is 7.'))
    """
    return tuple(step.text for step in segment(text)) if defences == "on" else tuple(text.split("\n"))
