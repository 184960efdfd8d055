"""What became of the rows of a source. ``rows == kept + dropped + merged`` always holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from judge.errors import DataError

SHIFT_MIN_LABELS: Final = 20
SHIFT_MIN_SHARE: Final = 0.05
"""A file of at least so many error labels, so many of which lie one off the end, is taken to count from the other base
when no label contradicts it: a true file of that base would have some (about 10% of first errors are in the first
step, and as many in the last one)."""
NO_FIRST_MIN_LABELS: Final = 60
"""So many error labels without a 0 are worth a question: by chance that is one file in 500."""


class BadRow(Exception):
    """A row that cannot be used; it is dropped and counted under `reason`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        """A few words, the same for every row with this trouble."""
        self.detail = detail
        """What is wrong with this row: field and value."""


@dataclass(slots=True)
class LoadReport:
    """Counts of one source, filled while it is read."""

    source: str
    path: str
    index_base: int | None = None
    """What the source's error labels count from; None where it marks every step."""
    labels: str = ""
    """How the source writes its labels, in words."""
    rows: int = 0
    """Labelled rows read (PRM800K: rated steps)."""
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows that cannot be used, by reason."""
    merged: Counter[str] = field(default_factory=Counter)
    """Rows whose content is in another record, by reason: nothing is lost."""
    repaired: Counter[str] = field(default_factory=Counter)
    """Kept rows that needed something, by what was done."""
    warnings: list[str] = field(default_factory=list)
    first_faults: dict[str, str] = field(default_factory=dict)
    """The first dropped row of each reason: its place and what is wrong."""
    num_error_labels: int = 0
    num_labels_zero: int = 0
    """Error labels that are 0 as written: valid only when counting from 0."""
    num_labels_end: int = 0
    """Error labels that equal the number of steps as written: valid only when counting from 1."""

    def drop(self, reason: str, where: str, detail: str, num_rows: int = 1) -> None:
        """Count rows as dropped."""
        self.dropped[reason] += num_rows
        self.first_faults.setdefault(reason, f"{where}: {detail}")

    def error_index(self, field: str, label: int, num_steps: int) -> int:
        """The 0-based index of an error label as the source writes it.

        Raises:
            BadRow: when it names no step.
        """
        base = self.index_base or 0
        self.num_error_labels += 1
        self.num_labels_zero += label == 0
        self.num_labels_end += label == num_steps
        if not base <= label < num_steps + base:
            raise BadRow(
                "label out of range",
                f"'{field}' = {label} is out of range: it names one of its {num_steps} steps, counted from {base}"
                f"{self._labels()}",
            )
        return label - base

    def _labels(self) -> str:
        return f" ({self.source} labels: {self.labels})" if self.labels else ""

    def finish(self) -> None:
        """Check the whole: was anything kept, and do the labels count from where the source counts?

        Raises:
            DataError: when not one row could be used, or the labels count from another base.
        """
        if self.rows == 0:
            raise DataError(f"{self.path}: holds no rows")
        if self.kept == 0:
            fault = next(iter(self.first_faults.values()), f"{self.path}: no row makes a record")
            others = f" (and none of the {self.rows} rows can be used: is it a {self.source} file?)"
            raise DataError(fault + (others if self.rows > 1 else ""))
        if self.index_base is not None:
            self._check_base(self.index_base)
        if self.dropped.total() * 2 > self.rows:
            self.warnings.append(f"{self.path}: only {self.rows - self.dropped.total()} of {self.rows} rows are usable")

    def _check_base(self, base: int) -> None:
        suspects, against = self.num_labels_zero, self.num_labels_end
        if base == 0:
            suspects, against = against, suspects
        if suspects == 0:
            if base == 0 and against == 0 and self.num_error_labels >= NO_FIRST_MIN_LABELS:
                self.warnings.append(
                    f"{self.path}: none of {self.num_error_labels} error labels is 0: does this file count from 1?"
                )
            return
        sign = "are 0" if base == 1 else "equal the number of steps"
        message = (
            f"{self.path}: {suspects} of {self.num_error_labels} error labels {sign}, but {self.source} labels count "
            f"from {base}"
        )
        enough = self.num_error_labels >= SHIFT_MIN_LABELS and suspects >= SHIFT_MIN_SHARE * self.num_error_labels
        if enough and against == 0:
            raise DataError(f"{message}: this file counts from {1 - base}; renumber its labels, or use another source")
        self.warnings.append(f"{message}: some rows may count from {1 - base}")

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {
            "source": self.source,
            "path": self.path,
            "rows": self.rows,
            "kept": self.kept,
            "dropped": dict(self.dropped),
            "merged": dict(self.merged),
            "repaired": dict(self.repaired),
            "warnings": list(self.warnings),
            "first_faults": dict(self.first_faults),
        }
