"""BIG-Bench-Mistake (arXiv 2311.08516): how often the first mistake of a trace, or that there is none, is found."""

from __future__ import annotations

from eval.benchmarks.example import Benchmark, Notes, RawRow
from eval.benchmarks.step_map import of_texts
from judge.data import big_bench_mistake
from judge.data.load_report import LoadReport
from judge.data.upstream_values import text_list


class BigBenchMistake(Benchmark):
    """A file is a task. The rows have no ids upstream: ``task-position`` (from 0) names one as well."""

    source = big_bench_mistake.SOURCE
    families = ("first_error", "mistake")
    headline = ("mistake_acc", "error_acc", "correct_acc")
    averaged = ("mistake_acc",)

    def notes(self, row: RawRow) -> Notes:
        """The task is the file's name."""
        steps = text_list(row.fields["steps"], "steps", LoadReport(self.name, ""))  # the loader has counted the repairs
        aliases = (f"{row.file.stem}-{row.position}",)
        return Notes(subset=row.file.stem, aliases=aliases, upstream_steps=of_texts(steps))
