"""Reads the table that ``sgpo-serve probe`` prints."""

from __future__ import annotations

from reward_server.probe.report import COLUMNS


def rows_of(out: str) -> list[dict[str, str]]:
    """The rows of the table, by the names of its columns."""
    lines = [line for line in out.splitlines() if line.startswith("│")]
    return [dict(zip(COLUMNS, (cell.strip() for cell in line.strip("│").split("│")), strict=True)) for line in lines]
