"""Mr-Ben (arXiv 2406.13975): MR-Score of each subject, and the unweighted mean over the subjects.

Upstream has the step of the coding subject graded by a model; here it has to be the quoted line's position.
"""

from __future__ import annotations

import re
from typing import Final

from eval.benchmarks.example import Benchmark, Notes, RawRow
from eval.benchmarks.mr_gsm8k import MR_HEADLINE, MR_MISSING
from eval.benchmarks.step_map import of_numbers
from judge.data import mrben

_LEVEL: Final = re.compile(r"(?:high_school|college)_")


class MrBen(Benchmark):
    """The subsets are the subjects: upstream's files, each with a high-school and a college part."""

    source = mrben.SOURCE
    hub = "Randolphzeng/Mr-Ben"
    families = ("first_error", "mr")
    headline = MR_HEADLINE
    averaged = ("mr_score", "mr_score_without_reason")
    missing_parts = MR_MISSING

    def notes(self, row: RawRow) -> Notes:
        """The subject without its level."""
        subject = row.fields.get("Subject")
        return Notes(
            subset=_LEVEL.sub("", subject) if isinstance(subject, str) else row.file.stem,
            upstream_steps=of_numbers(mrben.step_numbers(row.fields)),
        )
