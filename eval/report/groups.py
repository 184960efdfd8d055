"""Runs that can be compared: judges on the same rows of the same benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.report.folders import JudgeRun


@dataclass(frozen=True, slots=True)
class Group:
    """Judges on the same rows."""

    runs: tuple[JudgeRun, ...]
    """At least one."""

    @property
    def first(self) -> JudgeRun:
        """The run that speaks for what all of them share."""
        return self.runs[0]

    @property
    def title(self) -> str:
        """Benchmark, data and number of rows."""
        summary = self.first.summary
        data = summary.path.rpartition("/")[2]
        told = ", judges know that the answer is wrong" if summary.known_wrong else ""
        return f"{summary.benchmark}: {data}, {summary.num_rows:,} rows{told}"


def make_groups(runs: Sequence[JudgeRun]) -> list[Group]:
    """Put runs together that have the same rows, in order of appearance."""
    groups: dict[object, list[JudgeRun]] = {}
    for run in runs:
        summary = run.summary
        rows = frozenset((row.id, row.label, row.num_steps) for row in run.rows)
        groups.setdefault((summary.benchmark, summary.data_digest, summary.known_wrong, rows), []).append(run)
    return [Group(tuple(members)) for members in groups.values()]
