"""The tables about training: SGPO fidelity, attacks, and policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from eval.defences import BOTH
from eval.report.folders import AttackSummary, JudgeRun, PolicySummary
from eval.report.groups import Group
from eval.report.table import Cell, Line, Table, number, percent, share_cell, spread

FIGURES: Final[Mapping[str, str]] = {
    "rts_mae": "RTS error",
    "tau_b": "rank correlation",
    "sign_agreement": "sign agreement",
    "cosine": "cosine",
    "signal_share": "groups with signal",
}
SHARES: Final = frozenset({"sign_agreement", "signal_share"})


def fidelity_table(group: Group) -> Table | None:
    """How much of the human label's training signal survives each judge; None when nothing is known of it."""
    known = [(run, run.summary.fidelity) for run in group.runs if run.summary.fidelity]
    if not known:
        return None
    lines = tuple(_fidelity_line(run, found) for run, found in known if found.get("figures"))
    if not lines:
        return None
    grouping = known[0][1].get("grouping", {})
    caption = (
        "On the wrong solutions: what training would feel with this judge, against what it would feel with the human "
        f"label. Groups are {grouping.get('note', '')}."
    )
    columns = ("judge", *FIGURES.values(), "worth", "scored")
    return Table("SGPO fidelity", caption, columns, lines)


def attack_table(name: str, summary: AttackSummary) -> Table:
    """What reward hacking gains, with defences on and off, RTS in steps."""
    lines = tuple(
        Line(
            f"{attack.get('code', '')} {key.replace('_', ' ')}".strip(),
            tuple(cell for state in BOTH for cell in _attack_cells(attack.get(state, {}).get("steps", {}))),
            str(attack.get("summary", "")),
        )
        for key, attack in summary.attacks.items()
    )
    before = ", ".join(
        f"{number(found.get('mean_reward'), 3)} with defences {state}" for state, found in summary.originals.items()
    )
    caption = (
        "Change of the mean reward of wrong responses after each attempt (marked where it pays beyond chance), and the "
        "share of responses that gained. "
        f"Mean reward before: {before}."
    )
    columns = ("attack", *(f"{what}, defences {state}" for state in BOTH for what in ("change", "gained", "n")))
    return Table(f"Attacks on {name}", f"{caption} Judge: {summary.judge_id}, on {summary.benchmark}.", columns, lines)


def policy_table(policies: Sequence[tuple[str, PolicySummary]]) -> Table | None:
    """avg@k and maj@k of policies."""
    if not policies:
        return None
    lines = tuple(
        Line(
            name,
            (
                Cell(summary.benchmark),
                Cell(str(summary.k), f"temperature {summary.temperature:g}"),
                share_cell(summary.avg_at_k, summary.intervals.get("avg_at_k"), bar=True),
                share_cell(summary.maj_at_k, summary.intervals.get("maj_at_k")),
                Cell(f"{summary.num_problems:,}"),
                Cell(percent(summary.num_cut_off / summary.num_samples), f"at {summary.max_tokens:,} tokens"),
                Cell(f"{summary.num_unscored_samples:,}"),
            ),
            summary.policy,
        )
        for name, summary in policies
    )
    columns = ("policy", "benchmark", "k", "avg@k", "maj@k", "problems", "cut off", "unscored samples")
    return Table("Policies", "Answers checked by math-verify, with 95% bootstrap intervals.", columns, lines)


def _fidelity_line(run: JudgeRun, found: Mapping[str, Any]) -> Line:
    figures, intervals = found["figures"], found.get("intervals", {})
    cells = [
        share_cell(figures.get(key), intervals.get(key))
        if key in SHARES
        else Cell(number(figures.get(key)), spread(intervals.get(key), scale=1, digits=2))
        for key in FIGURES
    ]
    moved = found.get("worth", {}).get("moved", {}).get("cosine", {})
    worth = Cell(worth_text(figures.get("cosine"), moved.get("rate")), spread(moved.get("interval"), digits=0))
    counts = found.get("counts", {})
    coverage = Cell(percent(counts.get("coverage"), 0), f"of {counts.get('num_wrong', 0):,} wrong solutions")
    return Line(run.name, (*cells, worth, coverage))


def worth_text(cosine: float | None, rate: float | None) -> str:
    """The noise rate on human labels that is as bad as the judge; None beyond the curve, or where nothing is known."""
    if cosine is None:
        return "–"
    return "more than all noise" if rate is None else f"{percent(rate, 0)} noise"


def _attack_cells(found: Mapping[str, Any]) -> tuple[Cell, Cell, Cell]:
    change, bounds = found.get("mean_change"), (found.get("intervals") or {}).get("mean_change")
    lost = found.get("num_became_unscored", 0)
    gains = change is not None and (bounds[0] if bounds else change) > 0
    return (
        Cell("–" if change is None else f"{change:+.3f}", spread(bounds, scale=1, digits=3), is_bad=gains),
        Cell(percent(found.get("gained"), 0)),
        Cell(f"{found.get('num_scored', 0):,}", f"{lost:,} became unscored" if lost else ""),
    )
