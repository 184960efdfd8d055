"""A benchmark's rows, and how they are read through the loaders of `judge.data`."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from eval.benchmarks.data_file import DataFile
from eval.benchmarks.step_map import StepMap, all_of
from judge.data.items import Item
from judge.data.load_report import LoadReport
from judge.data.problem_text import fingerprint
from judge.data.source import Loaded, Source, content_id, read_records, with_unique_ids
from judge.errors import DataError
from judge.types import Record

FamilyName = Literal["first_error", "mr", "prm", "mistake"]


@dataclass(frozen=True, slots=True)
class Example(Record):
    """A labelled solution, and what its benchmark says of it besides."""

    subset: str = ""
    cluster: str = ""
    """The same for rows that belong to one problem: intervals are made over these."""
    wrong_steps: tuple[int, ...] | None = None
    """Every wrong step, from 0, where the benchmark marks them all."""
    aliases: tuple[str, ...] = ()
    """Other names of the row, for predictions made elsewhere."""
    upstream_steps: StepMap | None = None
    """Where the steps stand upstream; None: as here."""

    @property
    def step_map(self) -> StepMap:
        """From upstream's indices to those of `steps`."""
        return self.upstream_steps or all_of(len(self.steps))


@dataclass(frozen=True, slots=True)
class BenchmarkData:
    """What was read."""

    examples: list[Example]
    """Each has a label, and an id that no other has."""
    dropped: dict[str, int]
    """Rows that cannot be used, by reason."""
    repaired: dict[str, int]
    """Rows that are used and needed something (blank steps removed, say), by what was done."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What a raw row says beyond its record; see `Example`."""

    subset: str
    cluster: str | None = None
    """None: the problem's text decides."""
    wrong_steps: tuple[int, ...] | None = None
    aliases: tuple[str, ...] = ()
    upstream_steps: StepMap | None = None


@dataclass(frozen=True, slots=True)
class RawRow:
    """A record, and the row that it was made of."""

    record: Record
    fields: Mapping[str, Any]
    """As upstream wrote them; empty when the loader sees all rows together."""
    file: DataFile
    position: int
    """In its file, from 0."""
    where: str
    """For messages."""


class SeenRows:
    """The rows of a folder so far: copies in a second file would count twice."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self.ids: set[str] = set()
        """Upstream's, of all files."""
        self._finished: set[tuple[str, str]] = set()
        self._current: set[tuple[str, str]] = set()

    def add(self, record: Record) -> None:
        """A row that is used."""
        if record.id:
            self.ids.add(record.id)
        self._current.add(_identity(record))

    def in_another_file(self, record: Record) -> bool:
        """True for a row with the id, the problem and the steps of one in a finished file.

        Equal rows of one file stay: they are upstream's own.
        """
        return _identity(record) in self._finished

    def next_file(self) -> None:
        """A file is finished."""
        self._finished |= self._current
        self._current = set()


def _identity(record: Record) -> tuple[str, str]:
    return record.id, content_id(record)


class Benchmark:
    """Labelled solutions in one upstream schema. One subclass a benchmark."""

    source: ClassVar[Source]
    hub: ClassVar[str | None] = None
    """The data set on the hub."""
    hub_splits: ClassVar[tuple[str, ...]] = ()
    """Its splits, where it has several that belong together."""
    families: ClassVar[tuple[FamilyName, ...]] = ("first_error",)
    """What is computed; see `eval.families`."""
    headline: ClassVar[tuple[str, ...]] = ("f1", "error_acc", "correct_acc")
    """The figures that the benchmark's paper reports, the most important first."""
    averaged: ClassVar[tuple[str, ...]] = ()
    """Figures whose unweighted mean over the subsets is reported as well, as ``mean_...``."""
    missing_parts: ClassVar[Mapping[str, str]] = {}
    """Figures of the paper that may stay None, and what they need."""
    whole_solutions: ClassVar[bool] = True
    """False when solutions end at their first error: then RTS says nothing, and no SGPO fidelity is measured."""
    strict: ClassVar[bool] = False
    """A row that cannot be used is an error: a score over fewer rows is another score. Else it is left out, counted."""
    repeated_ids: ClassVar[Literal["rename", "refuse", "drop"]] = "rename"
    """Of another row. The same row in another file of a folder is left out and counted, unless ids are refused."""
    row_by_row: ClassVar[bool] = True
    """False when the loader has to see all rows together."""

    @property
    def name(self) -> str:
        """What the command line calls it."""
        return self.source.name

    @property
    def description(self) -> str:
        """One line for ``sgpo-eval list``."""
        return self.source.description

    def notes(self, row: RawRow) -> Notes:
        """What is known of a row besides its record."""
        return Notes(subset=row.file.stem)

    def load(self, data: DataFile) -> list[Example]:
        """Read every row; see `read`."""
        return self.read(data).examples

    def read(self, data: DataFile) -> BenchmarkData:
        """Read every row that can be used.

        Raises:
            DataError: naming the file, the row and the field.
        """
        records: list[Record] = []
        notes: list[Notes] = []
        dropped: Counter[str] = Counter()
        repaired: Counter[str] = Counter()
        seen = SeenRows()
        for file in data.files():
            loaded, noted = self._read_file(file, seen)
            records += loaded.records
            notes += noted
            dropped.update(loaded.report.dropped)
            repaired.update(loaded.report.repaired)
            seen.next_file()
        examples = [_example(record, note) for record, note in zip(with_unique_ids(records), notes, strict=True)]
        labelled = [example for example in examples if example.label is not None]
        if not labelled:
            raise DataError(f"{data.path}: no row has a label; a benchmark needs 'label' in its rows")
        if len(labelled) < len(examples):
            dropped["no label"] += len(examples) - len(labelled)
        return BenchmarkData(labelled, dict(sorted(dropped.items())), dict(sorted(repaired.items())))

    def _read_file(self, file: DataFile, seen: SeenRows) -> tuple[Loaded, list[Notes]]:
        """The records of a file and their notes, in one order.

        Args:
            seen: the rows so far; added to.
        """
        notes: list[Notes] = []

        def read(items: Iterable[Item], report: LoadReport) -> Iterator[Record]:
            for row in self._with_rows(items, report, file):
                record = row.record
                if record.id in seen.ids and self.repeated_ids == "refuse":
                    raise DataError(f"{row.where}: 'id' = {record.id!r} was used before; ids must be unique")
                if record.id in seen.ids and self.repeated_ids == "drop":
                    report.drop("id used twice", row.where, f"'id' = {record.id!r}")
                    continue
                if seen.in_another_file(record):
                    report.drop("row of another file", row.where, "an earlier file of the folder holds the same row")
                    continue
                seen.add(record)
                notes.append(self.notes(row))
                yield record

        loaded = read_records(dataclasses.replace(self.source, read=read), file.items(), str(file.path))
        if self.strict:
            for fault in loaded.report.first_faults.values():
                raise DataError(fault)
        return loaded, notes

    def _with_rows(self, items: Iterable[Item], report: LoadReport, file: DataFile) -> Iterator[RawRow]:
        if not self.row_by_row:
            for position, record in enumerate(self.source.read(items, report)):
                yield RawRow(record, {}, file, position, str(file.path))
            return
        for position, item in enumerate(items):
            for record in self.source.read((item,), report):
                assert isinstance(item.value, Mapping), "a row that made a record is an object"
                yield RawRow(record, item.value, file, position, item.where)


def _example(record: Record, notes: Notes) -> Example:
    known = {item.name: getattr(record, item.name) for item in dataclasses.fields(Record)}
    cluster = notes.cluster if notes.cluster is not None else fingerprint(record.problem).hex()
    return Example(
        **known,
        subset=notes.subset,
        cluster=cluster,
        wrong_steps=notes.wrong_steps,
        aliases=notes.aliases,
        upstream_steps=notes.upstream_steps,
    )
