"""What a person reads when a run has ended: a few lines from the files of its folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sgpo_client.log.metrics import format_seconds
from sgpo_client.report.run_files import RunFiles, change_between, group_totals, known


def summary(run: RunFiles, report: str) -> str:
    """Lines about the whole run, resumed parts included; what is not known is left out.

    Args:
        run: its files.
        report: where the report is.
    """
    lines = [_amount(run), _time(run.steps), _accuracy(run), _groups(run.steps), _unscored(run.steps), _too_long(run)]
    return "\n".join([f"Summary of {run.name}", *(f"  {line}" for line in [*lines, f"report: {report}"] if line)])


def _amount(run: RunFiles) -> str:
    if not run.steps:
        return "no step was finished"
    last = run.steps[-1]["step"]
    tokens = run.tokens_after(last)
    return f"{last:,} steps" + ("" if tokens is None else f", {tokens:,} response tokens")


def _time(steps: Sequence[Mapping[str, Any]]) -> str:
    """The phases with their shares of the steps' time, the longest first."""
    total = sum(known(steps, "time_step_s"))
    names = {name for row in steps for name in row if re.fullmatch(r"time_(?!step_s).*_s", name)}
    if not total:
        return ""
    seconds = {name.removeprefix("time_").removesuffix("_s"): sum(known(steps, name)) for name in names}
    parts = [f"{name} {part / total:.0%}" for name, part in sorted(seconds.items(), key=lambda item: -item[1]) if part]
    return f"{format_seconds(total)} in steps" + (f": {', '.join(parts)}" if parts else "")


def _accuracy(run: RunFiles) -> str:
    if not run.evaluations:
        return ""
    first, last = run.evaluations[0], run.evaluations[-1]
    after = f"{last.accuracy:.1%} of {last.num_problems:,} held-out answers right"
    if first is last:
        return f"step {last.step:,}: {after}"
    return f"{first.accuracy:.1%} before, {after} after step {last.step:,}: {change_between(first, last)}"


def _groups(steps: Sequence[Mapping[str, Any]]) -> str:
    total, all_negative, rescued = group_totals(steps)
    if not total:
        return ""
    share = f" ({rescued / all_negative:.0%})" if all_negative else ""
    return f"{all_negative:,} of {total:,} groups were all-negative; the judge rescued {rescued:,} of them{share}"


def _too_long(run: RunFiles) -> str:
    counts = run.facts.get("problems")
    number = counts.get("prompt_too_long") if isinstance(counts, Mapping) else None
    return f"{number:,} problems left out: their prompt is too long" if number else ""


def _unscored(steps: Sequence[Mapping[str, Any]]) -> str:
    responses = sum(known(steps, "num_responses"))
    if not responses:
        return ""
    rows = [row for row in steps if len(known([row], "num_responses") + known([row], "unscored_share")) == 2]
    unscored = round(sum(row["num_responses"] * row["unscored_share"] for row in rows))
    empty = round(sum(known(steps, "num_empty_responses")))
    return f"{unscored:,} of {responses:,.0f} responses unscored (masked, never 0), {empty:,} empty"
