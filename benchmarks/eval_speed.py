"""How long it takes to score a log: every figure, 1,000 bootstrap samples, fidelity.

    python benchmarks/eval_speed.py

A log of 3,400 made-up rows of 3,000 problems in four subsets (the size of ProcessBench), with a probability for every
step. Prints the seconds of processor time and of the clock; a busy machine stretches the second.
"""

from __future__ import annotations

import argparse
import random
import time

from eval.benchmarks.base import get_benchmark
from eval.benchmarks.example import Example
from eval.log import LogRow
from eval.metrics import Sampling
from eval.summary import Scoring, summarise
from judge.types import NO_ERROR

SUBSETS = ("gsm8k", "math", "olympiadbench", "omnimath")


def main() -> None:
    """Make a log, score it, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3400)
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    examples, log = made_up(options.rows)
    scoring = Scoring(sampling=Sampling(num_samples=options.samples))
    summarise(get_benchmark("processbench"), examples[:50], log, scoring, {})  # imports do not count
    clock, processor = time.perf_counter(), time.process_time()
    summary = summarise(get_benchmark("processbench"), examples, log, scoring, {})
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    intervals = sum(len(part["intervals"]) for part in (summary, *summary["by_subset"].values()))
    print(f"{options.rows} rows, {options.samples} samples, {intervals} intervals (and those of the length groups)")
    print(f"processor {processor:.1f} s, clock {clock:.1f} s")


def made_up(num_rows: int) -> tuple[list[Example], dict[str, LogRow]]:
    """Rows, and a judge that is often right."""
    rng = random.Random(0)
    examples: list[Example] = []
    log: dict[str, LogRow] = {}
    for number in range(num_rows):
        n = rng.randint(2, 16)
        label = rng.choice([NO_ERROR, rng.randrange(n), rng.randrange(n)])
        problem = f"problem {number % max(num_rows * 15 // 17, 1)}"
        name = f"{SUBSETS[number % 4]}-{number}"
        examples.append(Example(problem, ("a step",) * n, label, id=name, subset=SUBSETS[number % 4], cluster=problem))
        log[name] = LogRow(
            id=name,
            label=label,
            prediction=rng.choice([label, label, NO_ERROR, rng.randrange(n), None]),
            num_steps=n,
            step_error_probs=tuple(min(rng.betavariate(1, 6) + 0.3 * (step == label), 1.0) for step in range(n)),
        )
    return examples, log


if __name__ == "__main__":
    main()
