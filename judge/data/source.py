"""What a source is, and how its rows become records."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from judge.data.corrections import corrected
from judge.data.items import Item
from judge.data.load_report import BadRow, LoadReport
from judge.types import NO_ERROR, Record

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A data set in its upstream schema."""

    name: str
    """What settings and the command line call it."""
    description: str
    labels: str
    """One line for people: the label field, its index base and its "no error" code."""
    index_base: int | None
    """What error labels count from; None where every step is marked."""
    read: Callable[[Iterable[Item], LoadReport], Iterator[Record]]
    """Makes records; drops are counted in the report, never silent."""
    evaluation_only: bool = False
    """True for a set that judges are compared on: training on it is refused."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The records of one source, each with an id that no other has."""

    records: list[Record]
    report: LoadReport


class Row(BaseModel):
    """Base of the upstream schemas: types are not converted, fields that are not needed are left alone."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


RowT = TypeVar("RowT", bound=Row)


def read_records(source: Source, items: Iterable[Item], path: str) -> Loaded:
    """Read all rows of a source.

    Raises:
        DataError: when no row can be used (naming file, row and field), or the labels count from another base.
    """
    report = LoadReport(source.name, path, source.index_base, source.labels)
    records = [corrected(record, report) for record in source.read(items, report)]
    report.kept = len(records)
    report.finish()
    for warning in report.warnings:
        log.warning("%s", warning)
    return Loaded(with_unique_ids(records, report), report)


def each_row(
    items: Iterable[Item], report: LoadReport, parse: Callable[[Mapping[str, Any], LoadReport], Record]
) -> Iterator[Record]:
    """One record a row, for sources where a row is a solution."""
    for item in items:
        report.rows += 1
        try:
            record = checked(parse(row_fields(item), report), report)
        except BadRow as fault:
            report.drop(fault.reason, item.where + _named(item.value, fault.detail), fault.detail)
        else:
            yield record


def row_fields(item: Item) -> Mapping[str, Any]:
    """The fields of a row.

    Raises:
        BadRow: when it is no object.
    """
    if not isinstance(item.value, dict):
        kind = "null" if item.value is None else type(item.value).__name__
        raise BadRow("not an object", f"expected an object with named fields, found {kind}")
    return item.value


def parse_row(schema: type[RowT], fields: Mapping[str, Any]) -> RowT:
    """Check a row against its schema.

    Raises:
        BadRow: naming the first wrong field.
    """
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"][0].lower() + fault["msg"][1:]
        raise BadRow(f"wrong schema: '{fault['loc'][0]}'", f"'{name}': {message}") from None


def checked(record: Record, report: LoadReport) -> Record:
    """The record without blank steps.

    Raises:
        BadRow: when it has no problem, no step, or its first error is a blank step.
    """
    if not record.problem.strip():
        raise BadRow("no problem", "the problem is empty")
    kept = [index for index, step in enumerate(record.steps) if step.strip()]
    if not kept:
        raise BadRow("no steps", "there is no step with text")
    if len(kept) == len(record.steps):
        return record
    label = record.label
    if label is not None and label != NO_ERROR:
        if label not in kept:
            raise BadRow("first error is an empty step", f"label {label} names a step without text")
        label = kept.index(label)
    report.repaired["empty steps removed"] += 1
    return replace(record, steps=tuple(record.steps[index] for index in kept), label=label)


def with_unique_ids(records: Iterable[Record], report: LoadReport | None = None) -> list[Record]:
    """The records with an id each: their own, or one made of their content; one that comes up again gets ``~2``.

    Args:
        records: of one source or of several.
        report: where those of their own that came up again are counted.
    """
    seen: Counter[str] = Counter()
    unique = []
    for record in records:
        name = record.id or content_id(record)
        seen[name] += 1
        if report is not None and record.id and seen[name] > 1:
            report.repaired["id used before, renamed"] += 1
        while seen[name] > 1:
            name = f"{record.id or content_id(record)}~{seen[name]}"
            seen[name] += 1
        unique.append(record if name == record.id else replace(record, id=name))
    return unique


def content_id(record: Record) -> str:
    """An id that stays when rows are added or reordered: the source's name and 12 hex digits of problem and steps."""
    digest = hashlib.blake2b(digest_size=6)
    for text in (record.problem, *record.steps):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return f"{record.source}-{digest.hexdigest()}"


def _named(value: object, detail: str) -> str:
    name = value.get("id") if isinstance(value, dict) else None
    return f" (id {name!r})" if isinstance(name, str) and repr(name) not in detail else ""
