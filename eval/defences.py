"""The defences against reward hacking that can be switched off, so that their worth can be measured.

Off means: steps are the lines of the response, blank ones and invisible ones included, instead of
`judge.steps.segment`'s; judges that prompt a language model show the steps as they are, instead of what
`judge.prompting.neutralize` leaves of them; and the plain share of the steps before the first error is paid, instead of
`judge.defences.credit`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, Self, runtime_checkable

from judge.defences import DefenceSettings, Examined, credit, examine, typical_length
from judge.judges.base import Judge
from judge.shaping import step_lengths
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


@dataclass(frozen=True, slots=True)
class Pay:
    """What a verdict on one response is worth.

    >>> Pay.of("She has 3 + 4 = 7 eggs.", ("She has 3 + 4 = 7 eggs.",), "How many?", "on").shares(0)
    (0.0, 0.0)
    """

    steps: tuple[str, ...]
    examined: Examined
    defences: Defences
    typical: tuple[float | None, float | None] = (None, None)
    """The usual length of a solution, in steps and in characters."""

    @classmethod
    def of(cls, text: str, steps: tuple[str, ...], problem: str, defences: Defences) -> Self:
        """As far as the response alone decides it."""
        return cls(steps, examine(text, steps, problem, DefenceSettings(enabled=defences == "on")), defences)

    @property
    def lengths(self) -> tuple[int, int]:
        """Length of what counts, in steps and in characters."""
        return self.examined.effective(), self.examined.effective(step_lengths(self.steps, "characters"))

    def beside(self, others: Sequence[Pay]) -> Pay:
        """The same response measured against other solutions, as the reward server measures it against its group."""
        if self.defences == "off":
            return self
        columns = zip(*(other.lengths for other in others), strict=True)
        by_steps, by_characters = (typical_length(list(column)) for column in columns)
        return replace(self, typical=(by_steps, by_characters))

    def shares(self, first_error: int) -> tuple[float, float]:
        """The share that the reward is made of, in steps and in characters."""
        by_steps, by_characters = self.typical
        lengths = step_lengths(self.steps, "characters")
        return (
            credit(self.examined, first_error, None, by_steps).rts,
            credit(self.examined, first_error, lengths, by_characters).rts,
        )
