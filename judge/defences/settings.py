"""Table ``[defences]``: which of the defences against reward hacking are on."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from judge.settings import Settings

DEFENCES_VERSION: Final = "def1"
"""Changes whenever the same verdict on the same text may be paid another share."""


class DefenceSettings(Settings):
    """What keeps a policy from being paid for anything but right steps. Every switch is on by default.

    >>> DefenceSettings().enabled
    True
    """

    enabled: bool = True
    """False: the plain share of steps before the first error is paid, and no flag is set."""
    floor: bool = True
    """A wrong response without content gets rts 0 and is not shown to the judge."""
    require_answer: bool = True
    """Part of the floor: so does one without any final answer. Turn it off where many responses are cut off by the
    length limit and their right steps should be paid all the same; a policy may then learn never to commit itself."""
    min_chars: int = Field(16, ge=0, le=10_000)
    """Part of the floor: fewer characters, spaces not counted, are no solution."""
    repeats: bool = True
    """Steps that only repeat the problem or former steps earn nothing and count for nothing."""
    talk: bool = True
    """So do steps that state no mathematics: thoughts, plans, thanks, words to the grader."""
    loose_steps: bool = True
    """So do steps that have nothing to do with the problem and are used nowhere."""
    after_answer: bool = True
    """So does all that follows the final answer."""
    length_neutral: bool = True
    """A response is measured against the length of its group or of the reference solution, when that is longer."""
