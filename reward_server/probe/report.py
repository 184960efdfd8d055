"""The table that the probe prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reward_server.probe.asking import Seen
from reward_server.probe.samples import Group

COLUMNS = ("group", "response", "reward", "right", "first error", "grouping", "seconds", "note")


def table_of(groups: Sequence[Group], seen: Sequence[Sequence[Seen]]) -> Table:
    """A row for each response, as the trainer sees it; steps count from 0."""
    table = Table(*COLUMNS)
    for index, (group, rows) in enumerate(zip(groups, seen, strict=True)):
        for (known, _), row in zip(group.responses, rows, strict=True):
            table.add_row(f"{index} {'all wrong' if index == 0 else 'mixed'}", known, *map(Text, cells(row)))
        table.add_section()
    return table


def cells(row: Seen) -> tuple[str, ...]:
    """One response's row, from the reward on; "-" for what the trainer is not told."""
    told, seconds = row.told, f"{row.seconds:.2f}"
    if told is None:
        note = f"HTTP {row.status}" if row.status else row.outcome
        return ("none", "-", "-", "-", seconds, note)
    right = {None: "-", 0: "no", 1: "yes"}[told.acc]
    where = "-" if told.first_error is None else f"step {told.first_error} of {told.num_steps}"
    note = "fell back" if told.fell_back else told.failure
    return (
        "none" if told.reward is None else f"{told.reward:.6g}",
        right,
        where,
        told.group or "-",
        seconds,
        note,
    )


def render(table: Table, width: int = 120) -> str:
    """The table as plain text."""
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()
