"""``sgpo-judge show``: responses in the terminal, green up to the first wrong step and red from there on."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from judge.errors import DataError
from judge.records import InputRow
from judge.types import NO_ERROR, Record
from judge.verdict_file import VerdictLine, content_digest, read_lines

UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def show_rows(
    rows: Sequence[InputRow], verdicts: Mapping[str, VerdictLine] | None, console: Console, limit: int | None = None
) -> None:
    """Print every row with its steps coloured: by its verdict, or by its label where ``verdicts`` is None.

    Args:
        rows: of the whole input.
        verdicts: by row id.
        console: to print on.
        limit: print only the first rows.

    Raises:
        DataError: when a verdict is on another solution than the row of its id, or none is on any row.
    """
    if verdicts is not None and verdicts.keys().isdisjoint(row.record.id for row in rows):
        raise DataError("none of the verdicts is on a row of the input; give the --input that was judged")
    for row in rows[:limit]:
        lines = row_lines(row) if verdicts is None else judged_lines(row, verdicts.get(row.record.id))
        for line in lines:
            console.print(line, soft_wrap=True)


def read_verdicts(path: Path) -> dict[str, VerdictLine]:
    """Verdicts by row id."""
    return {line.id: line for _, line in read_lines(path)}


def row_lines(row: InputRow) -> list[Text]:
    """A row that nobody has judged, coloured by its label."""
    label = row.record.label
    return _lines(row.record, label, "not judged" if label is None else f"label {label}")


def judged_lines(row: InputRow, verdict: VerdictLine | None) -> list[Text]:
    """A row and what the judge said of it, uncoloured where it said nothing."""
    record = row.record
    if verdict is None:
        return _lines(record, None, "no verdict")
    # `sgpo-judge run --known-wrong` showed the judge more than the row says.
    shown = [content_digest(replace(row, known_wrong=known).solution()) for known in (False, True)]
    if verdict.input not in shown:
        raise DataError(
            f"row '{record.id}' is not the one that its verdict is on ({len(record.steps)} steps, and "
            f"{verdict.num_steps} there); give the --input that was judged"
        )
    return _lines(record, *finding(record, verdict))


def _lines(record: Record, first_error: int | None, saying: str) -> list[Text]:
    """Heading, problem, and one entry per step."""
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


def finding(record: Record, verdict: VerdictLine) -> tuple[int | None, str]:
    """The first error (`NO_ERROR` for none, None for unknown) and the words for it."""
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
