"""What each defence does to honest wrong responses: defended minus plain rts, both by the human first error.

    python benchmarks/defence_cost.py --path data/processbench/gsm8k.json.gz --references data/gsm8k/test.jsonl.gz
    python benchmarks/defence_cost.py --path data/processbench/math.json.gz

A defence that works leaves these alone: the table is its price. Rows are ProcessBench's with a wrong final answer. With
``--references`` (GSM8K's problems and solutions) the usual length is that of the reference solution; without it a
response is its own measure, since ProcessBench has one solution a problem. Counted in steps. Prints Markdown.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from judge.data.sources import load_source
from judge.defences import DefenceSettings, Examined, credit, examine
from judge.shaping import rts
from judge.steps import segment
from judge.types import NO_ERROR, Record

SWITCHES = ("floor", "repeats", "talk", "loose_steps", "after_answer", "length_neutral")


def main() -> None:
    """Print a line for each defence alone, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", required=True)
    parser.add_argument("--references", type=Path)
    options = parser.parse_args()
    records = load_source("processbench", options.path).records
    wrong = [r for r in records if r.final_answer_correct is False and r.label not in (None, NO_ERROR)]
    references = read_references(options.references) if options.references else {}
    print(f"{len(wrong)} wrong responses\n\n| defence | mean | mean absolute | changed | at the floor |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in (*SWITCHES, "all"):
        settings = DefenceSettings(**{switch: name in ("all", switch) for switch in SWITCHES})
        changes, num_floored = measure(wrong, references, settings)
        absolute = statistics.fmean(map(abs, changes))
        changed = statistics.fmean(change != 0 for change in changes)
        print(f"| {name} | {statistics.fmean(changes):+.3f} | {absolute:.3f} | {changed:.0%} | {num_floored} |")


def read_references(path: Path) -> dict[str, str]:
    """GSM8K's solutions by their problem."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return {row["question"]: row["answer"] for row in rows}


def measure(
    records: Sequence[Record], references: Mapping[str, str], settings: DefenceSettings
) -> tuple[list[float], int]:
    """Differences of rts, and how many responses were put at the floor."""
    changes, num_floored = [], 0
    for record in records:
        assert record.label is not None
        examined = examine("\n".join(record.steps), record.steps, record.problem, settings)
        num_floored += examined.is_floored
        reference = references.get(record.problem) if settings.length_neutral else None
        typical = None if reference is None else examined_reference(reference, record.problem, settings).effective(None)
        defended = credit(examined, record.label, None, typical).rts
        changes.append(defended - rts(record.label, [1] * len(record.steps)))
    return changes, num_floored


def examined_reference(reference: str, problem: str, settings: DefenceSettings) -> Examined:
    """The reference solution as a response."""
    steps = [step.text for step in segment(reference)]
    return examine("\n".join(steps), steps, problem, settings)


if __name__ == "__main__":
    main()
