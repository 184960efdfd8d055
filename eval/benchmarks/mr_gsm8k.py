"""MR-GSM8K (arXiv 2312.17080): MR-Score over GSM8K problems and two variations of them."""

from __future__ import annotations

from typing import Final

from eval.benchmarks.example import Benchmark, Notes, RawRow
from eval.benchmarks.step_map import of_numbers
from judge.data import mr_gsm8k

NEEDS_A_GRADER: Final = "needs somebody to grade the judge's reason for each error that it found: give --reasons"
MR_HEADLINE: Final = ("mr_score", "mr_score_without_reason", "mcc", "step_acc", "reason_acc")
MR_MISSING: Final = {"reason_acc": NEEDS_A_GRADER, "mr_score": NEEDS_A_GRADER}


class MrGsm8k(Benchmark):
    """The subsets are the question types: original, POT (code) and reversed."""

    source = mr_gsm8k.SOURCE
    hub = "Randolphzeng/Mr-GSM8K"
    families = ("first_error", "mr")
    headline = MR_HEADLINE
    missing_parts = MR_MISSING

    def notes(self, row: RawRow) -> Notes:
        """Upstream's ``uuid`` names a row too."""
        return Notes(
            subset=row.fields["question_type"],
            aliases=(row.fields["uuid"],),
            upstream_steps=of_numbers(mr_gsm8k.step_numbers(row.fields)),
        )
