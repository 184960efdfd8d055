"""Any labelled solutions in our own form: JSON lines of ``problem``, ``steps`` (or ``response``) and ``label``."""

from __future__ import annotations

from eval.benchmarks.example import Benchmark, Notes, RawRow
from eval.benchmarks.step_map import of_texts
from judge.data import own_records


class Records(Benchmark):
    """The subsets are the sources. Rows whose label is null are left out and counted; any other fault is an error."""

    source = own_records.SOURCE
    strict = True
    repeated_ids = "refuse"

    def notes(self, row: RawRow) -> Notes:
        """The source that the row names; a row without an id is also known by its position, from 0."""
        steps = row.fields.get("steps")
        return Notes(
            subset=row.record.source,
            aliases=() if row.record.id else (str(row.position),),
            upstream_steps=of_texts(row.record.steps if steps is None else steps),
        )
