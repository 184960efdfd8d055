"""``sgpo-judge show``: responses in the terminal, green up to the first wrong step and red from there on."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from judge.errors import DataError
from judge.records import InputRow
from judge.types import NO_ERROR, Record
from judge.verdict_file import VerdictLine, read_lines

UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def show_rows(rows: Sequence[InputRow], verdicts: Mapping[str, VerdictLine], console: Console) -> None:
    """Print every row with its steps coloured by its verdict, else by its label; without either, uncoloured.

    Raises:
        DataError: when a verdict is on another solution than the row of its id.
    """
    for row in rows:
        for line in row_lines(row, verdicts.get(row.record.id)):
            console.print(line, soft_wrap=True)


def read_verdicts(path: Path) -> dict[str, VerdictLine]:
    """Verdicts by row id."""
    return {line.id: line for _, line in read_lines(path)}


def row_lines(row: InputRow, verdict: VerdictLine | None) -> list[Text]:
    """Heading, problem, and one entry per step."""
    record = row.record
    if verdict is not None and verdict.num_steps != len(record.steps):
        raise DataError(
            f"row '{record.id}' has {len(record.steps)} steps, and its verdict counts {verdict.num_steps}; "
            "give the --input that was judged"
        )
    first_error, saying = finding(record, verdict)
    lines = [Text(printable(f"── {record.id}: {saying}"), style="bold"), Text(printable(record.problem), style="dim")]
    for index, step in enumerate(record.steps):
        mark = "✗" if index == first_error else " "
        lines.append(Text(f"{mark} {index:>2}  {printable(step)}", style=step_style(index, first_error)))
    lines.append(Text(""))
    return lines


def step_style(index: int, first_error: int | None) -> str:
    """Green before the first error, red from it on; no colour where nothing is known."""
    if first_error is None:
        return ""
    return "red" if 0 <= first_error <= index else "green"


def finding(record: Record, verdict: VerdictLine | None) -> tuple[int | None, str]:
    """The first error (`NO_ERROR` for none, None for unknown) and the words for it."""
    if verdict is None:
        return record.label, "not judged" if record.label is None else f"label {record.label}"
    if verdict.error is not None:
        return None, f"unscored, {verdict.error.code}: {verdict.error.message}"
    label = "" if record.label is None else f" (label {record.label})"
    if verdict.first_error is None:
        return NO_ERROR, f"no error found{label}"
    return verdict.first_error, f"first error in step {verdict.first_error}{label}"


def printable(text: str) -> str:
    r"""Show control and format characters instead of sending them to the terminal.

    >>> printable("\x1b[31mred")
    '\\x1b[31mred'
    """
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in UNPRINTABLE and char != "\n" else char
        for char in text
    )
