"""Our own JSON lines of records, as `sgpo-judge run` reads them and `sgpo-judge data convert` writes them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from judge.data.items import Item
from judge.data.load_report import BadRow, LoadReport
from judge.data.source import Source, checked, row_fields
from judge.errors import DataError
from judge.records import parse_row
from judge.types import NO_ERROR, Record


def read(items: Iterable[Item], report: LoadReport) -> Iterator[Record]:
    """The records; those without a source of their own get the name of this one."""
    for item in items:
        report.rows += 1
        try:
            record = checked(_record(row_fields(item), item.where, report), report)
        except BadRow as fault:
            report.drop(fault.reason, item.where, fault.detail)
        except DataError as error:
            report.drop("not a record", item.where, str(error).removeprefix(f"{item.where}: "))
        else:
            yield record if record.source else dataclasses.replace(record, source=report.source)


def _record(fields: Mapping[str, Any], where: str, report: LoadReport) -> Record:
    label, steps = fields.get("label"), fields.get("steps")
    if type(label) is int and label != NO_ERROR and isinstance(steps, list):
        report.error_index("label", label, len(steps))
    record = parse_row(json.dumps(fields, default=str), default_id="", where=where).record
    if record.label is not None and record.label >= len(record.steps):
        raise BadRow("label out of range", f"'label' = {record.label}, but 'response' has {len(record.steps)} steps")
    return record


SOURCE: Final = Source(
    name="records",
    description="our own records (problem, steps or response, label), JSON lines",
    labels="label, from 0, none: -1, not labelled: null",
    index_base=0,
    read=read,
)
