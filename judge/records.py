"""JSONL files of solutions: one JSON object a line, plain or gzipped."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from judge.errors import DataError
from judge.steps import segment
from judge.types import NO_ERROR, Record, Solution

GZIP: Final = b"\x1f\x8b"
"""How a gzipped file starts."""


class RecordLine(BaseModel):
    """What a line may hold. Other fields are left alone; types are not converted."""

    model_config = ConfigDict(strict=True, extra="ignore")

    id: str | int | None = None
    problem: str
    steps: list[str] | None = None
    response: str | None = None
    label: Annotated[int, Field(ge=NO_ERROR)] | None = None
    reference_solution: str | None = None
    reference_answer: str | None = None
    final_answer_correct: bool | None = None
    known_wrong: bool | None = None
    source: str = ""
    critique: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> RecordLine:
        if self.steps is None and self.response is None:
            raise ValueError("'steps' (a list) or 'response' (a text) is needed")
        if self.known_wrong and self.final_answer_correct:
            raise ValueError("'known_wrong' and 'final_answer_correct' cannot both be true")
        if self.steps is not None and self.label is not None and self.label >= len(self.steps):
            raise ValueError(f"'label' = {self.label}, but the last step is {len(self.steps) - 1}")
        return self


@dataclass(frozen=True, slots=True)
class InputRow:
    """One solution of an input file."""

    record: Record
    known_wrong: bool
    """The row's ``known_wrong``; where it says nothing, whether ``final_answer_correct`` is false."""
    text: str = ""
    """The response that the steps were cut from; empty where the steps were given."""

    def solution(self) -> Solution:
        """What a judge may see: neither label nor source."""
        record = self.record
        return Solution(
            problem=record.problem,
            steps=record.steps,
            reference_solution=record.reference_solution,
            reference_answer=record.reference_answer,
            known_wrong=self.known_wrong,
        )


def read_rows(path: Path) -> list[InputRow]:
    """Read and check a whole file, before the first row is judged.

    A row has ``steps``, or a raw ``response`` that is segmented here; with both, ``steps`` counts. A row without
    ``id`` gets its index in the file.

    Raises:
        DataError: naming the file, the line and the field.
    """
    rows: list[InputRow] = []
    lines_by_id: dict[str, int] = {}
    for number, text in numbered_lines(path):
        where = f"{path}: line {number}"
        row = parse_row(text, default_id=str(len(rows)), where=where)
        first = lines_by_id.setdefault(row.record.id, number)
        if first != number:
            raise DataError(f"{where}: 'id' = '{row.record.id}' was already used in line {first}")
        rows.append(row)
    if not rows:
        raise DataError(f"{path}: the file holds no rows")
    return rows


def parse_row(text: str, default_id: str, where: str) -> InputRow:
    """Check one line."""
    try:
        line = RecordLine.model_validate(parse_object(text, where))
    except ValidationError as error:
        raise DataError(f"{where}: {faults(error)}") from None
    steps = line.steps if line.steps is not None else [step.text for step in segment(line.response or "")]
    record = Record(
        problem=line.problem,
        steps=tuple(steps),
        label=line.label,
        reference_solution=line.reference_solution,
        reference_answer=line.reference_answer,
        final_answer_correct=line.final_answer_correct,
        source=line.source,
        id=default_id if line.id is None else str(line.id),
        critique=line.critique,
    )
    known_wrong = line.final_answer_correct is False if line.known_wrong is None else line.known_wrong
    return InputRow(record, known_wrong, (line.response or "") if line.steps is None else "")


def parse_object(text: str, where: str) -> dict[str, object]:
    """A JSON object, or an error that says what else it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "; the file looks like one JSON array: write one object a line" if text.startswith("[") else ""
        raise DataError(f"{where}: not valid JSON ({error}){hint}") from None
    if not isinstance(value, dict):
        hint = "; write one object a line" if isinstance(value, list) else ""
        raise DataError(f"{where}: a JSON object is needed, this is a {type(value).__name__}{hint}")
    return value


def faults(error: ValidationError) -> str:
    """All wrong fields in one line, without the values, which may be long."""
    said = []
    for item in error.errors(include_url=False, include_input=False):
        field = ".".join(map(str, item["loc"]))
        message = item["msg"].removeprefix("Value error, ")
        said.append(f"'{field}': {message}" if field else message)
    return "; ".join(said)


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    try:
        with _open_text(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


@contextmanager
def _open_text(path: Path) -> Iterator[IO[str]]:
    """Open for reading; gzip is told by the first bytes, not by the name. A byte-order mark is skipped."""
    with path.open("rb") as file:
        packed = file.peek(len(GZIP)).startswith(GZIP)
        with io.TextIOWrapper(gzip.GzipFile(fileobj=file) if packed else file, encoding="utf-8-sig") as text:
            yield text


def write_records(records: Iterable[Record], path: Path) -> None:
    """Write records as JSONL that `read_rows` gives back unchanged; unknown fields are left out."""
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            known = {key: value for key, value in asdict(record).items() if value is not None}
            file.write(json.dumps(known, ensure_ascii=False) + "\n")
