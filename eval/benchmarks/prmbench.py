"""PRMBench (arXiv 2501.03124): PRMScore on the steps, over all rows and for each type of error."""

from __future__ import annotations

from typing import Any

from eval.benchmarks.example import Benchmark, Notes, RawRow
from judge.data import prmbench
from judge.data.load_report import LoadReport
from judge.data.problem_text import fingerprint
from judge.data.upstream_values import number_list, text_list


class PrmBench(Benchmark):
    """The subsets are the types of error. As upstream does, a row whose id was read before is left out."""

    source = prmbench.SOURCE
    hub = "hitsmy/PRMBench_Preview"
    families = ("first_error", "prm")
    headline = ("prm_score", "step_f1", "step_negative_f1")
    repeated_ids = "drop"

    def notes(self, row: RawRow) -> Notes:
        """Every wrong step; the problem is the one that the error was written into, whatever was changed in it."""
        original = row.fields.get("original_question")
        return Notes(
            subset=row.fields.get("classification") or row.file.stem,
            cluster=fingerprint(original).hex() if isinstance(original, str) else None,
            wrong_steps=wrong_steps(row.fields["modified_process"], row.fields["error_steps"]),
            aliases=(str(row.fields["idx"]), f"{row.fields.get('classification', '')}_{row.fields['idx']}"),
        )


def wrong_steps(process: Any, numbers: Any) -> tuple[int, ...]:
    """The wrong steps of a row that the loader took, from 0, among its steps with text.

    Args:
        process: the steps as upstream writes them.
        numbers: their wrong ones, from 1. Some name a step that is not there; upstream ignores these, too.

    >>> wrong_steps(["a", " ", "c"], [3, 9])
    (1,)
    """
    unused = LoadReport("prmbench", "")  # the loader has counted the repairs
    steps = text_list(process, "modified_process", unused)
    with_text = [number for number, step in enumerate(steps, start=1) if step.strip()]
    wrong = set(number_list(numbers, "error_steps", unused))
    return tuple(index for index, number in enumerate(with_text) if number in wrong)
