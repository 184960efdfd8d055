"""The families of figures that benchmarks ask for: what a row adds up to, and what follows from the sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from eval import first_error, mr_score, prm_score
from eval.benchmarks.example import FamilyName
from eval.bootstrap import Floats
from eval.judged import JudgedRow


@dataclass(frozen=True, slots=True)
class Family:
    """Figures that follow from sums over the rows."""

    counts: Callable[[Sequence[JudgedRow]], Floats]
    """[rows, columns] of the judge's answers."""
    figures: Callable[[Floats], dict[str, Floats]]
    """From sums [..., columns]."""
    random_flag_sums: Callable[[Sequence[JudgedRow], Floats], Floats]
    """[rates, columns], expected of a judge that calls each step wrong at a rate in (0, 1)."""


def _mistake_figures(sums: Floats) -> dict[str, Floats]:
    """BIG-Bench-Mistake's accuracy over all traces (arXiv 2311.08516)."""
    return {"mistake_acc": first_error.figures(sums)["accuracy"]}


FAMILIES: Final[Mapping[FamilyName, Family]] = {
    "first_error": Family(first_error.counts, first_error.figures, first_error.random_flag_sums),
    "mr": Family(mr_score.counts, mr_score.figures, mr_score.random_flag_sums),
    "prm": Family(prm_score.counts, prm_score.figures, prm_score.random_flag_sums),
    "mistake": Family(first_error.counts, _mistake_figures, first_error.random_flag_sums),
}
