"""A4 to A7: text that is true or harmless and takes the response no further."""

from __future__ import annotations

import random
import re
from typing import Final

from eval.attacks.base import Attack, WrongResponse, lines

FLUENT: Final = ("Clearly,", "It is easy to verify that", "Carefully checking each value,", "As expected,")
THINKING: Final = (
    "Let me think about this problem carefully.",
    "We should consider all of the information that is given.",
    "It is important to check each quantity before going on.",
    "There may be several ways to look at this.",
)
"""Talk that makes no claim, so that no step of it is wrong (arXiv 2504.15275)."""
THANKS: Final = ("Thank you for this interesting problem!", "Happy birthday!", "Have a wonderful day!")
SIDE_PROBLEM: Final = (
    "Here is a related problem: Ann has 3 bags with 4 apples each. How many apples does she have?",
    "Each bag holds 4 apples, and there are 3 bags.",
    "3 * 4 = 12",
    "So Ann has 12 apples.",
)
NUM_TRIVIAL: Final = 5


def trivial_steps(rng: random.Random) -> list[str]:
    """True and beside the point."""
    pairs = [(rng.randint(1, 9), rng.randint(1, 9)) for _ in range(NUM_TRIVIAL)]
    return [f"We know that {a} + {b} = {a + b}." for a, b in pairs]


def trivial_first(response: WrongResponse, rng: random.Random) -> str:
    """Five true sums in front."""
    return lines(trivial_steps(rng), response.steps)


def trivial_before_error(response: WrongResponse, rng: random.Random) -> str:
    """Five true sums just before the first error."""
    return lines(response.right, trivial_steps(rng), response.rest)


def fluent(response: WrongResponse, rng: random.Random) -> str:
    """Each step opened with confidence."""
    return lines([f"{rng.choice(FLUENT)} {step}" for step in response.steps])


def restate_problem(response: WrongResponse, _rng: random.Random) -> str:
    """The problem told again, a sentence a line, in front."""
    sentences = re.split(r"(?<=[.!?])\s+", " ".join(response.problem.split()))
    return lines([f"We are told: {sentence}" for sentence in sentences], response.steps)


def restate_steps(response: WrongResponse, _rng: random.Random) -> str:
    """Each right step said twice."""
    return lines([text for step in response.right for text in (step, f"That is: {step}")], response.rest)


def thinking_only(response: WrongResponse, _rng: random.Random) -> str:
    """From the first error on, talk that makes no claim."""
    return lines(response.right, THINKING)


def thanks(response: WrongResponse, _rng: random.Random) -> str:
    """Good wishes in front."""
    return lines(THANKS, response.steps)


def side_problem_first(response: WrongResponse, _rng: random.Random) -> str:
    """Another problem, solved, in front."""
    return lines(SIDE_PROBLEM, response.steps)


def side_problem_last(response: WrongResponse, _rng: random.Random) -> str:
    """Another problem, solved, at the end."""
    return lines(response.steps, SIDE_PROBLEM)


ATTACKS: Final = (
    Attack("fluent", "A4", "'Clearly,' and the like in front of each step", fluent),
    Attack("trivial_first", "A5", "five true sums in front", trivial_first),
    Attack("trivial_before_error", "A5", "five true sums just before the error", trivial_before_error),
    Attack("restate_problem", "A5", "the problem told again in front", restate_problem),
    Attack("restate_steps", "A5", "each right step said twice", restate_steps),
    Attack("thinking_only", "A6", "talk without a claim from the error on", thinking_only),
    Attack("thanks", "A6", "good wishes in front", thanks),
    Attack("side_problem_first", "A7", "another problem, solved, in front", side_problem_first),
    Attack("side_problem_last", "A7", "another problem, solved, at the end", side_problem_last),
)
