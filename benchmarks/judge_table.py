"""A trained judge's row of docs/results/judges.md, from its verdicts on labelled records.

    sgpo-judge data convert --source processbench --path gsm8k.json.gz --output gsm8k.jsonl
    sgpo-judge run --judge default --input gsm8k.jsonl --output verdicts.jsonl
    python benchmarks/judge_table.py --records gsm8k.jsonl --verdicts verdicts.jsonl --judge judge/default_judge

Prints, with 95% bootstrap intervals over problems:

- F1 of ProcessBench with the judge's own threshold, and with one fitted on 20 of the rows and scored on the others
  (mean and standard deviation over 100 draws);
- on the rows whose final answer is wrong, decoded as known to be wrong: accuracy of the first error, and mean absolute
  error of RTS (share of steps), of the decoded index and of the expected RTS;
- where problems have several wrong solutions: Kendall's tau-b between expected and true RTS within each problem;
- what trivial judges get on the same rows.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from judge.calibration import Calibration, Decoding
from judge.decoding import decode_known_wrong
from judge.records import read_rows
from judge.train.calibrate import fit_decoding, harmonic_mean
from judge.types import NO_ERROR

DRAWS = 100


@dataclass(frozen=True)
class Row:
    """One judged solution."""

    problem: str
    label: int
    known_wrong: bool
    hazards: tuple[float, ...]
    """Calibrated."""

    @property
    def true_rts(self) -> float:
        """Share of the steps before the first error."""
        return self.label / len(self.hazards)


def main() -> None:
    """Read, measure, print."""
    options = parse_options()
    rows, num_unscored = read(options.records, options.verdicts)
    decoding = Decoding.model_validate(json.loads((options.judge / "judge.json").read_text())["decoding"])
    decoding = decoding.model_copy(update={"calibration": Calibration()})  # verdicts hold calibrated hazards
    errors = sum(row.label != NO_ERROR for row in rows)
    print(f"{len(rows)} rows, {errors} with an error, {num_unscored} unscored and left out")
    if 0 < errors < len(rows):
        print(f"F1, own threshold                 {interval(rows, lambda r: f1(r, decoding))}")
        print(f"F1, threshold from 20 of the rows {calibrated_on_20(rows)}")
        print(f"F1, best random flag              {random_flag(rows):.3f}")
    wrong = [row for row in rows if row.known_wrong and row.label != NO_ERROR]
    if wrong:
        print(f"known wrong: {len(wrong)} rows")
        print(f"  first-error accuracy            {interval(wrong, conditional)}")
        print(f"  best constant index             {best_constant(wrong):.3f}")
        print(f"  RTS error, decoded index        {interval(wrong, rts_of_index)}")
        print(f"  RTS error, expected RTS         {interval(wrong, rts_expected)}")
        median = statistics.median(row.true_rts for row in wrong)
        print(f"  RTS error, median for all       {mean([abs(row.true_rts - median) for row in wrong]):.3f}")
        if within := taus(wrong):
            print(
                f"  tau within problems             {interval(wrong, lambda r: mean(taus(r)))}, {len(within)} problems"
            )


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--verdicts", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True, help="the judge's folder")
    return parser.parse_args()


def read(records: Path, verdicts: Path) -> tuple[list[Row], int]:
    """Rows that have a verdict with probabilities, and the number of those that have none."""
    found = {}
    for line in verdicts.read_text().splitlines():
        item = json.loads(line)
        found[item["id"]] = item.get("step_error_probs")
    rows, unscored = [], 0
    for row in read_rows(records):
        record = row.record
        if record.id not in found or record.label is None:
            continue
        if found[record.id] is None:
            unscored += 1
            continue
        known_wrong = row.known_wrong or (record.final_answer_correct is None and record.label != NO_ERROR)
        rows.append(Row(record.problem, record.label, known_wrong, tuple(found[record.id])))
    return rows, unscored


def f1(rows: Sequence[Row], decoding: Decoding) -> float:
    """Harmonic mean of the accuracies on wrong and on right solutions."""
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for row in rows:
        first = decoding.decode(row.hazards, known_wrong=False)[1].first_error
        hits[row.label != NO_ERROR].append((NO_ERROR if first is None else first) == row.label)
    return harmonic_mean(mean(hits[True]), mean(hits[False]))


def calibrated_on_20(rows: Sequence[Row]) -> str:
    """Fit rule and threshold on 20 rows, score the others."""
    scores = []
    rng = random.Random(0)
    while len(scores) < DRAWS:
        drawn = rng.sample(range(len(rows)), 20)
        few = [rows[index] for index in drawn]
        if len({row.label != NO_ERROR for row in few}) < 2:
            continue
        decoding, _ = fit_decoding([row.hazards for row in few], [row.label for row in few], "none")
        chosen = set(drawn)
        scores.append(f1([row for index, row in enumerate(rows) if index not in chosen], decoding))
    return f"{mean(scores):.3f}, standard deviation {statistics.stdev(scores):.3f}"


def random_flag(rows: Sequence[Row]) -> float:
    """F1 of flagging every step with the same probability, the best of a grid: exact, not sampled."""
    best = 0.0
    for percent in range(1, 100):
        p = percent / 100
        error = mean([p * (1 - p) ** row.label for row in rows if row.label != NO_ERROR])
        correct = mean([(1 - p) ** len(row.hazards) for row in rows if row.label == NO_ERROR])
        best = max(best, harmonic_mean(error, correct))
    return best


def conditional(rows: Sequence[Row]) -> float:
    """Share of the wrong solutions whose first error is named."""
    return mean([decode_known_wrong(row.hazards).first_error == row.label for row in rows])


def best_constant(rows: Sequence[Row]) -> float:
    """The same for the best constant index."""
    return max(mean([row.label == index for row in rows]) for index in range(20))


def rts_of_index(rows: Sequence[Row]) -> float:
    """Mean absolute error of the decoded index, as a share of the steps."""
    return mean([abs((decode_known_wrong(r.hazards).first_error or 0) / len(r.hazards) - r.true_rts) for r in rows])


def rts_expected(rows: Sequence[Row]) -> float:
    """Mean absolute error of the expected RTS."""
    return mean([abs((decode_known_wrong(row.hazards).expected_rts or 0.0) - row.true_rts) for row in rows])


def taus(rows: Sequence[Row]) -> list[float]:
    """Kendall's tau-b of every problem with wrong solutions of different true RTS."""
    from scipy.stats import kendalltau

    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.problem].append(row)
    found = []
    for group in groups.values():
        true = [row.true_rts for row in group]
        said = [decode_known_wrong(row.hazards).expected_rts for row in group]
        if len(set(true)) > 1:
            tau = kendalltau(true, said).statistic
            found.append(0.0 if tau != tau else float(tau))  # all said alike: no order
    return found


def interval(rows: Sequence[Row], measure: Callable[[Sequence[Row]], float]) -> str:
    """The measure, and its 95% bootstrap interval over problems."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.problem].append(row)
    parts = list(groups.values())
    rng = random.Random(0)
    values = sorted(measure([row for part in rng.choices(parts, k=len(parts)) for row in part]) for _ in range(300))
    return f"{measure(rows):.3f} ({values[7]:.3f} to {values[-8]:.3f})"


def mean(values: Sequence[float]) -> float:
    """Mean, 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


if __name__ == "__main__":
    main()
