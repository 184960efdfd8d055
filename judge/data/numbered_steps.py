"""Solutions whose lines are named "Step 1:", "Step 2:", ... (Mr-Ben, MR-GSM8K, Math-Shepherd).

Labels name these numbers, not positions in the list: a list may hold empty lines between steps, and a step may go on
over several lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Mr-Ben has a few first lines that lost their S.
_PREFIX: Final = re.compile(r"\s*S?tep\s*(\d+)\s*:\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NumberedStep:
    """One step."""

    number: int
    """Its number as written, or its position from 1 where no line is numbered."""
    text: str
    """Without "Step k:"; lines joined by line breaks."""


def numbered_steps(lines: Sequence[str]) -> list[NumberedStep]:
    r"""Lines to steps. Lines without a number go on with the step before, or lead in the first one.

    >>> numbered_steps(["Step 1: Let x = 2.", "", "Step 2: So", "2x = 4."])
    [NumberedStep(number=1, text='Let x = 2.'), NumberedStep(number=2, text='So\n2x = 4.')]
    >>> numbered_steps(["x = 2", "2x = 4"])
    [NumberedStep(number=1, text='x = 2'), NumberedStep(number=2, text='2x = 4')]
    """
    if not any(map(_PREFIX.match, lines)):
        return [NumberedStep(position, line.rstrip()) for position, line in enumerate(lines, 1) if line.strip()]
    numbers: list[int] = []
    texts: list[list[str]] = []
    lead_in: list[str] = []
    for line in lines:
        match = _PREFIX.match(line)
        if match is not None:
            numbers.append(int(match.group(1)))
            texts.append([*lead_in, line[match.end() :].rstrip()])
            lead_in = []
        elif line.strip():
            (texts[-1] if texts else lead_in).append(line.rstrip())
    return [NumberedStep(number, "\n".join(filter(None, text))) for number, text in zip(numbers, texts, strict=True)]


def without_step_name(text: str) -> str:
    """The text without "Step k:" in front.

    >>> without_step_name("Step 3: 2 + 2 = 4")
    '2 + 2 = 4'
    """
    match = _PREFIX.match(text)
    return text[match.end() :].strip() if match else text.strip()
