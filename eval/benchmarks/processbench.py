"""ProcessBench as a benchmark: the loader of `judge.data`, with no row left out."""

from __future__ import annotations

from eval.benchmarks.base import DataFile
from judge.data.items import json_items
from judge.data.processbench import SOURCE
from judge.data.source import read_records
from judge.errors import DataError
from judge.types import Record


class ProcessBench:
    """Loader of ProcessBench files."""

    name = SOURCE.name
    description = SOURCE.description

    def load(self, file: DataFile) -> list[Record]:
        """Read every row of a subset. A row that cannot be used is an error: a score over fewer rows is another score.

        Raises:
            DataError: naming the file, the row (counted from 1) and the field.
        """
        loaded = read_records(SOURCE, json_items(file.content, str(file.path)), str(file.path))
        for fault in loaded.report.first_faults.values():
            raise DataError(fault)
        return loaded.records
