"""ProcessBench (arXiv 2412.06559): first errors in model solutions of maths problems, marked by people.

One file per subset, a JSON list of objects as upstream publishes them, or the same objects as JSON lines. ``label`` is
the 0-based index of the first wrong step, -1 for none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eval.benchmarks.base import DataFile
from judge.errors import DataError
from judge.types import NO_ERROR, Record


class Row(BaseModel):
    """A row of the upstream schema; fields that are not needed here are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    id: str = Field(min_length=1)
    problem: str
    steps: list[str] = Field(min_length=1)
    label: int
    final_answer_correct: bool | None = None


class ProcessBench:
    """Loader of ProcessBench files."""

    name = "processbench"
    description = "ProcessBench: first wrong step of a model's solution (gsm8k, math, olympiadbench, omnimath), JSON"

    def load(self, file: DataFile) -> list[Record]:
        """Read every row of a subset.

        Raises:
            DataError: naming the file, the row (counted from 1) and the field.
        """
        records: dict[str, Record] = {}
        rows: dict[str, int] = {}
        for number, item in enumerate(_items(file), start=1):
            where = f"{file.path}: row {number}"
            row = _parse(item, where)
            if row.id in records:
                raise DataError(
                    f"{where}: 'id' = {row.id!r} was already used by row {rows[row.id]}; ids must be unique"
                )
            records[row.id] = Record(
                problem=row.problem,
                steps=tuple(row.steps),
                label=row.label,
                final_answer_correct=row.final_answer_correct,
                source=self.name,
                id=row.id,
            )
            rows[row.id] = number
        if not records:
            raise DataError(f"{file.path}: holds no rows")
        return list(records.values())


def _items(file: DataFile) -> Iterator[object]:
    """The objects of a JSON list or of JSON lines."""
    try:
        text = file.content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise DataError(f"{file.path}: is not UTF-8 text: {error}") from None
    try:
        if text.startswith("["):
            yield from json.loads(text)
            return
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file.path}: is not a JSON list: {error}") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                item = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{file.path}: line {number} is not JSON: {error}") from None
            yield item


def _parse(item: object, where: str) -> Row:
    if not isinstance(item, dict):
        raise DataError(f"{where}: expected an object with id, problem, steps and label, found {_kind(item)}")
    try:
        row = Row.model_validate(item)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in fault["loc"])
        name = f" (id {item['id']!r})" if isinstance(item.get("id"), str) else ""
        raise DataError(f"{where}{name}: '{field}': {fault['msg'][0].lower()}{fault['msg'][1:]}") from None
    if not NO_ERROR <= row.label < len(row.steps):
        raise DataError(
            f"{where} (id {row.id!r}): 'label' = {row.label} is out of range: -1 for no error, else the 0-based "
            f"index of one of its {len(row.steps)} steps"
        )
    return row


def _kind(item: object) -> str:
    return "null" if item is None else type(item).__name__
