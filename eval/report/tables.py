"""The tables of judges on one benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from eval.report.folders import JudgeRun
from eval.report.groups import Group
from eval.report.table import Cell, Line, Table, number, percent, share_cell, spread
from eval.report.words import BASELINES, NAMES

FIRST_ERROR: Final = ("f1", "error_acc", "correct_acc")
DETAILS: Final = (
    "within_one_acc",
    "detected_acc",
    "mean_offset",
    "mcc",
    "known_wrong_acc",
    "expected_rts_mae",
    "step_auroc",
    "step_ap",
    "step_ece",
)
NOT_SHARES: Final = frozenset({"mean_offset", "mcc", "step_auroc", "step_ap", "step_ece", "expected_rts_mae"})
FITTED: Final = "F1 fitted on 20"


def headline_table(group: Group) -> Table:
    """The benchmark's own figures with intervals, and the baselines below them."""
    shown = headline_names(group)
    lines = [
        Line(
            run.name,
            (
                *(
                    share_cell(run.summary.figure(name), run.summary.intervals.get(name), bar=position == 0)
                    for position, name in enumerate(shown)
                ),
                _unscored(run),
            ),
            note=run.summary.judge_id,
        )
        for run in group.runs
    ]
    lines += [
        Line(title, (*(Cell(percent(known.get(name))) for name in shown), Cell("")), _detail(known), is_baseline=True)
        for key, title in BASELINES.items()
        if (known := group.first.summary.baselines.get(key))
    ]
    return Table(
        "Judges",
        "With 95% bootstrap intervals over problems. Below them: baselines, which read nothing, on the same rows.",
        ("judge", *(NAMES.get(name, name) for name in shown), "unscored"),
        tuple(lines),
    )


def headline_names(group: Group) -> list[str]:
    """The benchmark's figures that somebody has, and ProcessBench's first; a mean over one subset says nothing new."""
    summaries = [run.summary for run in group.runs]
    names = [*summaries[0].headline, *(name for name in FIRST_ERROR if name not in summaries[0].headline)]
    if len(summaries[0].by_subset) < 2:
        names = [name for name in names if not name.startswith("mean_")]
    known = [name for name in names if any(summary.figure(name) is not None for summary in summaries)]
    return known or list(FIRST_ERROR)


def details_table(group: Group) -> Table | None:
    """How far off, how well ranked, how well calibrated; None when nobody has such a figure."""
    shown = [name for name in DETAILS if any(run.summary.figure(name) is not None for run in group.runs)]
    if not shown:
        return None
    fitted = [_fitted(run) for run in group.runs]
    lines = tuple(
        Line(run.name, (*(_figure(run, name) for name in shown), *([cell or Cell("–")] if any(fitted) else [])))
        for run, cell in zip(group.runs, fitted, strict=True)
    )
    columns = ("judge", *(NAMES[name] for name in shown), *([FITTED] if any(fitted) else []))
    return Table("More about the verdicts", "Explained at the end of the page.", columns, lines)


def part_tables(group: Group) -> list[Table]:
    """The main figure by subset and by number of steps; a subset table only where there are several."""
    name = headline_names(group)[0]
    tables = []
    for title, part, worth_it in (
        ("By subset", "by_subset", len(group.first.summary.by_subset) > 1),
        ("By number of steps", "by_length", True),
    ):
        if worth_it:
            parts: Mapping[str, Mapping[str, Any]] = getattr(group.first.summary, part)
            lines = tuple(_part_line(group.runs, part, key, name, known) for key, known in parts.items())
            columns = ("", *(run.name for run in group.runs), "random flags", "rows", "with an error")
            mixed = any(line.note for line in lines)
            caption = NAMES.get(name, name) + ("; another figure where a part does not have it." if mixed else ".")
            tables.append(Table(title, caption[0].upper() + caption[1:], columns, lines))
    return tables


def cost_table(group: Group) -> Table | None:
    """What the verdicts cost; None where that is not known: predictions made elsewhere."""
    known = [run for run in group.runs if run.summary.seconds]
    if not known:
        return None
    lines = tuple(
        Line(
            run.name,
            (
                Cell(number(run.summary.seconds / run.summary.num_rows, 3)),
                Cell(f"{run.summary.seconds:,.0f}"),
                *(
                    Cell(f"{run.summary.usage.get(key, 0) / run.summary.num_rows:,.1f}")
                    for key in ("calls", "prompt_tokens", "completion_tokens")
                ),
            ),
        )
        for run in known
    )
    columns = ("judge", "seconds per row", "seconds", "calls per row", "prompt tokens", "completion tokens")
    return Table("Cost", "Wall-clock time on the machine of the run; calls and tokens per row.", columns, lines)


def _part_line(runs: Sequence[JudgeRun], part: str, key: str, name: str, first: Mapping[str, Any]) -> Line:
    shown = (
        name if first.get(name) is not None else "error_acc" if first.get("error_acc") is not None else "correct_acc"
    )
    cells = [  # a single row, drawn again and again, would have an interval of no width
        share_cell(found.get(shown), found["intervals"].get(shown) if found.get("num_rows", 0) > 1 else None)
        for run in runs
        if (found := getattr(run.summary, part).get(key, {})) is not None
    ]
    random = (first.get("baselines") or {}).get("random_flag", {}).get(shown)
    counts = (Cell(f"{first['num_rows']:,}"), Cell(f"{first['num_error']:,}"))
    note = "" if shown == name else NAMES[shown]
    return Line(key or "(no name)", (*cells, Cell(percent(random)), *counts), note)


def _figure(run: JudgeRun, name: str) -> Cell:
    value, bounds = run.summary.figure(name), run.summary.intervals.get(name)
    if name not in NOT_SHARES:
        return share_cell(value, bounds)
    return Cell(number(value), spread(bounds, scale=1, digits=2))


def _fitted(run: JudgeRun) -> Cell | None:
    """F1 with a threshold from a few rows; None where it is not known."""
    found = (run.summary.thresholds or {}).get("fitted_on_few")
    return Cell(percent(found["f1"]), f"± {100 * found['sd']:.1f}") if found else None


def _unscored(run: JudgeRun) -> Cell:
    why = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in run.summary.unscored.items())
    return Cell(f"{run.summary.num_unscored:,}", why)


def _detail(known: Mapping[str, Any]) -> str:
    if "rate" in known:
        return f"rate {known['rate']:.2f}"
    return f"step {known['index']}" if "index" in known else ""
