"""PRM800K (arXiv 2305.20050): steps rated by people, put together to solutions by the loader.

Solutions with an error **end** with it, and most of the others are beginnings. So the last step is always the right
guess for the first error, and the step figures (AUROC, average precision) are the ones to read.
"""

from __future__ import annotations

from eval.benchmarks.example import Benchmark
from judge.data import prm800k


class Prm800k(Benchmark):
    """Either phase, in either form that the loader reads."""

    source = prm800k.SOURCE
    headline = ("step_auroc", "step_ap", "f1", "error_acc", "correct_acc")
    whole_solutions = False
    row_by_row = False
