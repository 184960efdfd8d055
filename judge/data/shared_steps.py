"""Steps that several solutions of a problem have in common, and what the labels say of them.

The score of a step depends on the problem and on the steps up to it: where two solutions begin alike, it is the same
step. It is learnt from once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from judge.types import NO_ERROR, Record

Prefix = tuple[str, tuple[str, ...]]


def prefix(record: Record, step: int) -> Prefix:
    """What the score of a step depends on: records that agree up to a step share it."""
    return record.problem, record.steps[: step + 1]


def target(record: Record, step: int) -> int | None:
    """1 for the first wrong step, 0 for a step before it, None for one after it (or where nobody labelled)."""
    if record.label is None or (record.label != NO_ERROR and step > record.label):
        return None
    return int(step == record.label)


def num_labelled(record: Record) -> int:
    """Steps up to the first error, that one included."""
    return len(record.steps) if record.label is None or record.label == NO_ERROR else record.label + 1


def contradictions(records: Iterable[Record]) -> list[Prefix]:
    """Shared steps that one label calls right and another one wrong.

    >>> wrong, right = Record("1+1+1?", ("1+1=3",), 0), Record("1+1+1?", ("1+1=3", "3+1=4"), 1)
    >>> contradictions([wrong, right])
    [('1+1+1?', ('1+1=3',))]
    """
    found: dict[Prefix, set[int | None]] = defaultdict(set)
    for record in records:
        for step in range(num_labelled(record)):
            found[prefix(record, step)].add(target(record, step))
    return [key for key, targets in found.items() if {0, 1} <= targets]
