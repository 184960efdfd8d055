"""What the probe sends: one problem, a group of wrong responses, and a group with a right one in it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

PROBLEM: Final = "Tom has 3 bags with 4 apples each. He eats 2 apples. How many apples are left?"
ANSWER: Final = "10"
WRONG: Final = (
    ("wrong at step 0", "There are 3 * 4 = 13 apples in the bags.\nHe eats 2 of them: 13 - 2 = 11.\nThe answer is 11."),
    ("wrong at step 1", "There are 3 * 4 = 12 apples in the bags.\nHe eats 2 of them: 12 - 2 = 11.\nThe answer is 11."),
    (
        "wrong at step 2",
        "There are 3 * 4 = 12 apples in the bags.\nHe eats 2 of them: 12 - 2 = 10.\n"
        "One more is found: 10 + 1 = 12.\nThe answer is 12.",
    ),
    (
        "wrong at step 0",
        "The bags hold 3 * 4 = 14 apples.\nTwo of them are eaten, so 14 - 2 = 12 are left.\nThe answer is 12.",
    ),
)
RIGHT: Final = (
    "right",
    "There are 3 * 4 = 12 apples in the bags.\nHe eats 2 of them: 12 - 2 = 10.\nThe answer is 10.",
)
GROUP_SIZE: Final = len(WRONG)


@dataclass(frozen=True, slots=True)
class Group:
    """Responses to the problem, under a name that no other group has."""

    name: str
    """Eight hexadecimal digits."""
    responses: tuple[tuple[str, str], ...]
    """[GROUP_SIZE] what is known of a response, and its text."""

    @property
    def texts(self) -> list[str]:
        """[GROUP_SIZE] the responses."""
        return [text for _, text in self.responses]


def new_groups() -> list[Group]:
    """An all-negative group, then a mixed one, under fresh names: nothing was answered before."""
    return [Group(secrets.token_hex(4), WRONG), Group(secrets.token_hex(4), (RIGHT, *WRONG[1:]))]
