"""PRMBench (arXiv 2501.03124): PRMScore on the steps, over all rows and for each type of error."""

from __future__ import annotations

from eval.benchmarks.example import Benchmark, Notes, RawRow
from eval.benchmarks.step_map import of_texts
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
        """The problem is the one that the error was written into, whatever was changed in it.

        Some of upstream's wrong steps are not there, or have no text: upstream ignores the former, too.
        """
        original = row.fields.get("original_question")
        unused = LoadReport(self.name, "")  # the loader has counted the repairs
        steps = of_texts(text_list(row.fields["modified_process"], "modified_process", unused))
        wrong = number_list(row.fields["error_steps"], "error_steps", unused)
        return Notes(
            subset=row.fields.get("classification") or row.file.stem,
            cluster=fingerprint(original).hex() if isinstance(original, str) else None,
            wrong_steps=steps.indices([number - 1 for number in wrong]),
            aliases=(str(row.fields["idx"]), f"{row.fields.get('classification', '')}_{row.fields['idx']}"),
            upstream_steps=steps,
        )
