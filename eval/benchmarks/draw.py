"""Which rows ``--limit`` takes: some of every subset, drawn by problem, the same ones each time."""

from __future__ import annotations

from collections.abc import Sequence

from eval.benchmarks.example import Example
from judge.data.splits import hash_position


def draw(examples: Sequence[Example], limit: int | None, seed: int) -> list[Example]:
    """So many rows, in the order of the data; all of them for None.

    A subset's problems are put in order by a hash of seed and problem (`hash_position`), the rows of a problem stay
    together. Then the subsets give a row each, in turn, until there are enough. So more rows hold all that fewer rows
    hold, only a subset's last problem is cut, and a problem of several subsets has the same place in each.
    """
    if limit is None or limit >= len(examples):
        return list(examples)
    queues: dict[str, list[int]] = {}
    for number, example in enumerate(examples):
        queues.setdefault(example.subset, []).append(number)
    turns: list[tuple[int, int, int]] = []
    for place, rows in enumerate(queues.values()):
        queue = sorted(rows, key=lambda row: (hash_position(examples[row].cluster, seed, "limit"), row))
        turns += [(turn, place, row) for turn, row in enumerate(queue)]
    return [examples[row] for row in sorted(row for _, _, row in sorted(turns)[:limit])]
