"""Keep the rows on whose first error two sources agree (as Qwen's "Lessons", arXiv 2501.07301).

Two independent sources that name the same step are seldom both wrong; each alone often is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from judge.errors import DataError
from judge.records import InputRow, numbered_lines, parse_object, read_rows
from judge.types import NO_ERROR, Record
from judge.verdict_file import VerdictLine, content_digest, read_lines


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one source says of one row."""

    label: int | None
    """0-based index of the first error, `NO_ERROR`, or None for no opinion."""
    shown: frozenset[str]
    """Digests of what a judge was or would be shown (`judge.verdict_file.content_digest`)."""
    record: Record | None = None
    """None where the source is a file of verdicts."""


@dataclass
class ConsensusReport:
    """What became of the rows. Every row of either source is counted once."""

    agreed_on_index: int = 0
    agreed_on_no_error: int = 0
    disagreed_on_index: int = 0
    """Both see an error, at different steps."""
    disagreed_on_error: int = 0
    """One sees an error, the other none."""
    unlabelled: int = 0
    """At least one has no opinion."""
    only_in_a: int = 0
    only_in_b: int = 0

    @property
    def num_kept(self) -> int:
        """Rows that are written."""
        return self.agreed_on_index + self.agreed_on_no_error


def consensus(a: Path, b: Path) -> tuple[list[Record], ConsensusReport]:
    """Join two files by id, and keep the rows that they agree on.

    Args:
        a: records, or an output of ``sgpo-judge run``; the records that are kept come from here if it has them.
        b: likewise. At least one of the two has to hold records.

    Raises:
        DataError: a file that is neither, two files of verdicts, or a row with other steps in the two.
    """
    first, second = opinions(a), opinions(b)
    if not any(opinion.record for opinion in (*first.values(), *second.values())):
        raise DataError(f"{a} and {b} are both files of verdicts; one of the two has to hold the records")
    report = ConsensusReport(only_in_a=len(first.keys() - second.keys()), only_in_b=len(second.keys() - first.keys()))
    kept = []
    for row_id in (row_id for row_id in first if row_id in second):
        mine, other = first[row_id], second[row_id]
        _same_row(row_id, mine, other, f"{a} and {b}")
        if _agree(mine.label, other.label, report):
            record = mine.record or other.record
            assert record is not None  # one of the files holds records
            kept.append(replace(record, label=mine.label))
    return kept, report


def opinions(path: Path) -> Mapping[str, Opinion]:
    """What a file says of each row, by id."""
    if _holds_verdicts(path):
        return {line.id: _of_verdict(line) for _, line in read_lines(path)}
    return {row.record.id: _of_row(row) for row in read_rows(path)}


def _of_row(row: InputRow) -> Opinion:
    shown = frozenset(content_digest(replace(row, known_wrong=known).solution()) for known in (False, True))
    return Opinion(row.record.label, shown, row.record)


def _of_verdict(line: VerdictLine) -> Opinion:
    found = NO_ERROR if line.first_error is None else line.first_error
    return Opinion(None if line.status == "unscored" else found, frozenset({line.input}))


def _holds_verdicts(path: Path) -> bool:
    number, text = next(iter(numbered_lines(path)), (0, ""))
    if not text:
        raise DataError(f"{path}: the file holds no rows")
    return "judge_id" in parse_object(text, f"{path}: line {number}")


def _same_row(row_id: str, mine: Opinion, other: Opinion, where: str) -> None:
    """An index means nothing when problem or steps differ, and equal ids do not make equal rows."""
    if mine.record is not None and other.record is not None:
        same = (mine.record.problem, mine.record.steps) == (other.record.problem, other.record.steps)
    else:
        same = bool(mine.shown & other.shown)
    if not same:
        raise DataError(
            f"{where}: row '{row_id}' has another problem or other steps in the two; label or judge the same file twice"
        )


def _agree(mine: int | None, other: int | None, report: ConsensusReport) -> bool:
    """Whether two labels agree; counts the row."""
    if mine is None or other is None:
        report.unlabelled += 1
    elif mine != other:
        report.disagreed_on_error += NO_ERROR in (mine, other)
        report.disagreed_on_index += NO_ERROR not in (mine, other)
    else:
        report.agreed_on_no_error += mine == NO_ERROR
        report.agreed_on_index += mine != NO_ERROR
        return True
    return False
