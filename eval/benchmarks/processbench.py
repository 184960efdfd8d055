"""ProcessBench (arXiv 2412.06559): no row is left out, since a score over fewer rows is another score."""

from __future__ import annotations

from eval.benchmarks.example import Benchmark, Notes, RawRow
from eval.benchmarks.step_map import of_texts
from judge.data import processbench


class ProcessBench(Benchmark):
    """F1 of each subset (the harmonic mean of two accuracies), and the unweighted mean over the subsets."""

    source = processbench.SOURCE
    hub = "Qwen/ProcessBench"
    hub_splits = ("gsm8k", "math", "olympiadbench", "omnimath")
    averaged = ("f1",)
    strict = True
    repeated_ids = "refuse"

    def notes(self, row: RawRow) -> Notes:
        """Ids are ``subset-number``."""
        return Notes(
            subset=row.record.id.rpartition("-")[0] or row.file.stem, upstream_steps=of_texts(row.fields["steps"])
        )
