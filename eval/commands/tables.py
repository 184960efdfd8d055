"""Figures for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

NAMES: Final[Mapping[str, str]] = {
    "error_acc": "error accuracy",
    "correct_acc": "correct accuracy",
    "f1": "F1",
    "mean_f1": "mean F1",
    "mcc": "MCC",
    "step_acc": "step accuracy",
    "reason_acc": "reason accuracy",
    "mr_score": "MR-Score",
    "mr_score_without_reason": "MR-Score, 2 parts",
    "mean_mr_score": "mean MR-Score",
    "mean_mr_score_without_reason": "mean of 2 parts",
    "prm_score": "PRMScore",
    "step_f1": "F1 of right steps",
    "step_negative_f1": "F1 of wrong steps",
    "mistake_acc": "mistake accuracy",
    "mean_mistake_acc": "mean of tasks",
    "step_auroc": "step AUROC",
    "step_ap": "step precision",
    "within_one_acc": "within one step",
}
FIRST: Final = ("error_acc", "correct_acc", "f1")


def summary_table(summary: Mapping[str, Any]) -> str:
    """The first-error figures and the benchmark's own, in percent, with intervals and the random baseline."""
    shown = [*FIRST, *(name for name in summary["headline"] if name not in FIRST)]
    random = summary["baselines"]["random_flag"]
    lines = [
        f"{NAMES.get(name, name):<17}{percent(summary[name]):>7}  {_interval(summary['intervals'].get(name)):<17}"
        f"{_random(random.get(name))}{_note(summary, name)}".rstrip()
        for name in shown
    ]
    why = ", ".join(f"{count} {reason}" for reason, count in summary["unscored"].items())
    lines.append(f"{'unscored':<17}{summary['num_unscored']:>7}  {why}".rstrip())
    for key, text in (
        ("dropped", "rows of the data that cannot be used"),
        ("num_missing", "rows that were not scored"),
        ("num_unknown", "lines for rows that are not there"),
        ("num_out_of_range", "predictions of a step that is not there"),
        ("num_blank_steps", "predictions of a step without text"),
    ):
        value = summary.get(key, 0)
        count = sum(value.values()) if isinstance(value, Mapping) else value
        if count:
            lines.append(f"{text}: {count}")
    return "\n".join(lines)


def percent(value: float | None) -> str:
    """In percent, a dash for None; what rounds to 0 has no sign.

    >>> percent(0.1234), percent(-0.0001), percent(None)
    ('12.3', '0.0', '-')
    """
    return "-" if value is None else f"{100 * value:z.1f}"


def _interval(bounds: list[float] | None) -> str:
    return "" if bounds is None else f"({percent(bounds[0])} to {percent(bounds[1])})"


def _random(value: float | None) -> str:
    return "" if value is None else f"random flags {percent(value)}"


def _note(summary: Mapping[str, Any], name: str) -> str:
    needs = summary["missing_parts"].get(name)
    counted = {"error_acc": "num_error", "correct_acc": "num_correct"}.get(name)
    note = needs or (f"n = {summary[counted]}" if counted else "")
    return f"  {note}" if note else ""
