"""Several runs over one another: ``sgpo-train compare RUN RUN ... [--output page.html]``. Needs no torch.

The first run is the one that the others are measured against.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sgpo_client.errors import DataError
from sgpo_client.report.run_files import Change, EvalRow, RunFiles, change_between, read_run

MAX_RUNS: Final = 10


@dataclass(frozen=True, slots=True)
class Compared:
    """One run beside the first one."""

    name: str
    run: RunFiles
    algorithm: str
    num_steps: int
    num_tokens: int | None
    """Response tokens over the whole run."""
    last: EvalRow | None
    """The last evaluation."""
    change: Change | None
    """Of the last evaluation against the first run's; None for the first run, and where one has none."""
    steps_to_target: int | None
    """Steps until an evaluation reached the first run's last accuracy."""
    tokens_to_target: int | None


def compare(folders: Sequence[Path]) -> list[Compared]:
    """Read the runs and set each beside the first.

    Raises:
        DataError: when a folder is no run's.
    """
    if not 2 <= len(folders) <= MAX_RUNS:
        raise DataError(f"{len(folders)} runs: give 2 to {MAX_RUNS} run folders to compare")
    runs = [_read(folder) for folder in folders]
    base = runs[0].evaluations[-1] if runs[0].evaluations else None
    return [
        _compared(name, run, base, is_first=index == 0)
        for index, (name, run) in enumerate(zip(names(folders), runs, strict=True))
    ]


def _read(folder: Path) -> RunFiles:
    run = read_run(folder)
    if not run.steps and not run.evaluations:
        raise DataError(
            f"{folder}: not a run folder, or a run without a finished step: metrics.jsonl and eval.jsonl hold nothing; "
            "give what run.output_dir said"
        )
    return run


def names(folders: Sequence[Path]) -> list[str]:
    """The folders' names, with as many of their parents as it takes to tell them apart.

    >>> names([Path("/a/x/run"), Path("/a/y/run"), Path("/b/other")])
    ['x/run', 'y/run', 'other']
    """
    parts = [folder.resolve().parts for folder in folders]
    depths = [1] * len(parts)
    while True:
        found = ["/".join(each[-depth:]) for each, depth in zip(parts, depths, strict=True)]
        counts = Counter(found)
        clashing = [i for i, name in enumerate(found) if counts[name] > 1 and depths[i] < len(parts[i])]
        if not clashing:
            return found
        for i in clashing:
            depths[i] += 1


def _compared(name: str, run: RunFiles, base: EvalRow | None, *, is_first: bool) -> Compared:
    last = run.evaluations[-1] if run.evaluations else None
    num_steps = run.steps[-1]["step"] if run.steps else 0
    reached = next((row.step for row in run.evaluations if base is not None and row.accuracy >= base.accuracy), None)
    algo = run.config.get("algo")
    return Compared(
        name=name,
        run=run,
        algorithm=str(algo.get("name", "")) if isinstance(algo, dict) else "",
        num_steps=num_steps,
        num_tokens=run.tokens_after(num_steps),
        last=last,
        change=None if is_first or last is None or base is None else change_between(base, last),
        steps_to_target=reached,
        tokens_to_target=None if reached is None else run.tokens_after(reached),
    )


def warnings(compared: Sequence[Compared]) -> list[str]:
    """What makes the comparison less than it looks."""
    said = []
    first = compared[0]
    for other in compared[1:]:
        if first.last is None or other.last is None:
            missing = first.name if first.last is None else other.name
            said.append(
                f"{missing} has no evaluation: no difference can be given (eval.enabled, data.num_eval_problems)"
            )
        elif not first.last.problems or first.last.problems != other.last.problems:
            said.append(
                f"{first.name} and {other.name} were not evaluated on the same problems, or do not say on which: the "
                "difference mixes that of the policies with that of the problems"
            )
        if first.last is not None and other.last is not None and first.last.step != other.last.step:
            said.append(
                f"{first.name} was last evaluated after step {first.last.step:,}, "
                f"{other.name} after {other.last.step:,}"
            )
    return list(dict.fromkeys(said))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``sgpo-train compare``. Returns 0, or 2 for wrong input."""
    parser = argparse.ArgumentParser(
        prog="sgpo-train compare", description="Overlay runs; the others are measured against the first."
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run")
    parser.add_argument("--output", type=Path, metavar="PAGE.html", help="write curves and table as one HTML file")
    options = parser.parse_args(argv)
    try:
        compared = compare(options.runs)
        page = write_comparison(compared, options.output) if options.output else None
    except DataError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for line in [*table_lines(compared), *(f"note: {warning}" for warning in warnings(compared))]:
        sys.stdout.write(line + "\n")
    if page is not None:
        sys.stdout.write(f"{page}\n")
    return 0


def table_lines(compared: Sequence[Compared]) -> list[str]:
    """The table as text, a line for each run."""
    target = compared[0].last
    head: tuple[str, ...] = ("run", "algorithm", "steps", "tokens", "accuracy (95% interval)")
    rows: list[tuple[str, ...]] = [
        (each.name, each.algorithm, f"{each.num_steps:,}", _count(each.num_tokens), accuracy_text(each.last))
        for each in compared
    ]
    if target is not None:
        head = (*head, f"steps, tokens to {target.accuracy:.1%}")
        rows = [(*row, to_target_text(each)) for row, each in zip(rows, compared, strict=True)]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    changes = [f"{each.name} against {compared[0].name}: {each.change}" for each in compared if each.change]
    return [*(line.rstrip() for line in lines), *changes]


def accuracy_text(row: EvalRow | None) -> str:
    """The last accuracy with its interval and n."""
    if row is None:
        return "–"
    return f"{row.accuracy:.1%} ({row.low:.1%} to {row.high:.1%}, n = {row.num_problems:,})"


def to_target_text(compared: Compared) -> str:
    """When the target was reached."""
    if compared.steps_to_target is None:
        return "never"
    return f"{compared.steps_to_target:,}, {_count(compared.tokens_to_target)}"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def write_comparison(compared: Sequence[Compared], target: Path) -> Path:
    """Write the page.

    Raises:
        DataError: when it cannot be written there.
    """
    from sgpo_client.report.compare_charts import draw_comparison
    from sgpo_client.report.page import render_page, write_page

    first = compared[0]
    page = render_page(
        "compare.html.j2",
        runs=[
            {
                "name": each.name,
                "algorithm": each.algorithm,
                "steps": f"{each.num_steps:,}",
                "tokens": _count(each.num_tokens),
                "last": each.last,
                "accuracy": accuracy_text(each.last),
                "to_target": to_target_text(each),
                "change": "" if each.change is None else str(each.change),
            }
            for each in compared
        ],
        target="" if first.last is None else f"{first.last.accuracy:.1%}",
        warnings=warnings(compared),
        drawings=draw_comparison(compared),
    )
    try:
        return write_page(target, page)
    except OSError as error:
        raise DataError(f"--output {target}: cannot be written ({error.strerror}); give another name") from None
