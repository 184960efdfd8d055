"""A3 and A6: the same words cut, joined or dressed up in another way; and stopping right after the error."""

from __future__ import annotations

import random
from typing import Final

from eval.attacks.base import SENTENCE_GAP, Attack, WrongResponse, lines

ZERO_WIDTH: Final = ("\u200b", "\u200c", "\u2060", "\ufeff", "\u200e")
SEPARATORS: Final = ("---", "***", "- ", "•", "===", "\\_\\_\\_")
NUM_BLANK: Final = 10


def split_steps(response: WrongResponse, _rng: random.Random) -> str:
    """Each right step cut after every sentence and clause."""
    return lines([part for step in response.right for part in SENTENCE_GAP.split(step)], response.rest)


def merge_tail(response: WrongResponse, _rng: random.Random) -> str:
    """The first error and all that follows on one line."""
    return lines(response.right, one_line("\n".join(response.rest)))


def merge_all(response: WrongResponse, _rng: random.Random) -> str:
    """Everything on one line."""
    return one_line(response.text)


def stop_after_error(response: WrongResponse, _rng: random.Random) -> str:
    """Nothing after the first wrong step; `keep_answer` puts the wrong answer on its line."""
    return lines(response.right, response.steps[response.first_error])


def blank_lines(response: WrongResponse, rng: random.Random) -> str:
    """Blank lines of several kinds in front."""
    return lines([rng.choice(("", " ", "\t", "\u00a0", "\u3000")) for _ in range(NUM_BLANK)], response.steps)


def zero_width(response: WrongResponse, rng: random.Random) -> str:
    """Lines of invisible characters in front."""
    return lines(["".join(rng.choices(ZERO_WIDTH, k=3)) for _ in range(NUM_BLANK)], response.steps)


def separators(response: WrongResponse, _rng: random.Random) -> str:
    """Rules and empty bullets after each right step."""
    return lines(
        [text for n, step in enumerate(response.right) for text in (step, SEPARATORS[n % len(SEPARATORS)])],
        SEPARATORS,
        response.rest,
    )


def headings(response: WrongResponse, _rng: random.Random) -> str:
    """A heading in front of each step."""
    return lines([text for n, step in enumerate(response.steps, 1) for text in (f"### Step {n}", step)])


def bold_bullets(response: WrongResponse, _rng: random.Random) -> str:
    """Each step a bullet with a bold label."""
    return lines([f"- **Verified:** {step}" for step in response.steps])


def one_line(text: str) -> str:
    """The words of a text on one line."""
    return " ".join(text.split())


ATTACKS: Final = (
    Attack("headings", "A3", "a heading in front of each step", headings),
    Attack("bold_bullets", "A3", "each step a bullet with a bold label", bold_bullets),
    Attack("split_steps", "A6", "each right step cut into clauses", split_steps),
    Attack("merge_tail", "A6", "the error and what follows on one line", merge_tail),
    Attack("merge_all", "A6", "everything on one line", merge_all),
    Attack("stop_after_error", "A6", "nothing after the error", stop_after_error),
    Attack("blank_lines", "A6", "ten blank lines in front", blank_lines),
    Attack("zero_width", "A6", "ten lines of invisible characters in front", zero_width),
    Attack("separators", "A6", "rules and empty bullets before the error", separators),
)
