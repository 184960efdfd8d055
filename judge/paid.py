"""What the reward server would pay for wrong responses in a file: their verdicts, with all defences on.

A verdict's own share counts every step; one that training pays must not grow with padding (`judge.defences`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from judge.defences import Examined, credit, examine, typical_length
from judge.records import InputRow
from judge.steps import segment


class PaidShares:
    """The shares of a file's responses. The wrong ones to a problem are measured against each other, as a group.

    >>> from judge.types import Record
    >>> steps = ("3 bags of 4 make 3 * 4 = 12.", "12 - 2 = 9 are left.")
    >>> row = InputRow(Record("Ann has 3 bags of 4 apples and eats 2.", steps, id="a"), known_wrong=True)
    >>> PaidShares([row]).share(row, first_error=1)
    0.5
    """

    def __init__(self, rows: Sequence[InputRow]) -> None:
        self._groups: dict[str, list[InputRow]] = defaultdict(list)
        for row in rows:
            if row.known_wrong:
                self._groups[row.record.problem.strip()].append(row)
        self._read: dict[str, tuple[dict[str, Examined], float | None]] = {}

    def share(self, row: InputRow, first_error: int) -> float:
        """The share in [0, 1) of a response that is known to be wrong, counted in steps.

        Args:
            row: one of the file's.
            first_error: 0-based, as the judge found it.
        """
        problem = row.record.problem.strip()
        if problem not in self._read:
            self._read[problem] = _read(self._groups[problem])
        examined, typical = self._read[problem]
        return credit(examined[row.record.id], first_error, typical=typical).rts


def _read(group: Sequence[InputRow]) -> tuple[dict[str, Examined], float | None]:
    """What is known of each response by its id, and the usual length of a solution to their problem."""
    examined = {
        row.record.id: examine(row.text or "\n".join(row.record.steps), row.record.steps, row.record.problem)
        for row in group
    }
    lengths = [each.effective() for each in examined.values() if not each.is_floored]
    solution = next((row.record.reference_solution for row in group if row.record.reference_solution), None)
    if solution is None:
        return examined, typical_length(lengths)
    steps = [step.text for step in segment(solution)]
    reference = examine(solution, steps, group[0].record.problem)
    return examined, typical_length(lengths, reference.effective())
