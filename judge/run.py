"""``sgpo-judge run``: judge rows into a file of verdicts that a second run takes up where the first ended."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from judge.judges.base import Judge
from judge.paid import PaidShares
from judge.records import InputRow
from judge.types import Unscored, UnscoredReason, Verdict
from judge.verdict_file import PASSING, format_line, take_up


@dataclass
class RunSummary:
    """What a run did."""

    num_judged: int = 0
    unscored: Counter[str] = field(default_factory=Counter)
    """Rows without a verdict in this run, by reason."""
    first_failure: str = ""
    """What happened to the first row whose judge did not answer."""
    num_not_tried: int = 0
    """Rows left when the run stopped because the judge answered nothing."""

    @property
    def complete(self) -> bool:
        """Whether no row is left for another run."""
        return not self.first_failure

    def add(self, results: Sequence[Verdict | Unscored]) -> None:
        """Count the results of a batch."""
        for result in results:
            if isinstance(result, Verdict):
                self.num_judged += 1
                continue
            self.unscored[result.reason.value] += 1
            if result.reason in PASSING:
                self.first_failure = self.first_failure or result.message


def open_output(output: Path, rows: Sequence[InputRow], judge_id: str, *, overwrite: bool) -> set[str]:
    """Make the output ready to be appended to; the ids of the rows that it already answers.

    Rows whose judge was unavailable or too slow in the last run are not among them.

    Raises:
        DataError: when ``output`` holds another judge's verdicts, or verdicts on other rows.
    """
    if output.exists() and not overwrite:
        return take_up(output, rows, judge_id)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(b"")
    return set()


async def run_judge(
    judge: Judge,
    rows: Sequence[InputRow],
    output: Path,
    *,
    paid: PaidShares,
    batch_size: int,
    progress: Callable[[int], object],
) -> RunSummary:
    """Judge rows and append their verdicts batch by batch.

    Stops after a batch for which the judge was unavailable throughout.

    Args:
        paid: of all rows of the input, the ones that were judged before among them.
        progress: called with the number of rows of every batch that is done.
    """
    summary = RunSummary()
    with output.open("a", encoding="ascii") as file:
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            results = await judge.judge([row.solution() for row in batch])
            file.writelines(format_line(row, result, paid) for row, result in zip(batch, results, strict=True))
            file.flush()
            progress(len(batch))
            summary.add(results)
            if all(isinstance(r, Unscored) and r.reason is UnscoredReason.JUDGE_UNAVAILABLE for r in results):
                summary.num_not_tried = len(rows) - start - len(batch)
                break
        os.fsync(file.fileno())
    return summary
