"""Files of rows, a line of JSON each, that grow while a run goes on and survive being killed at any moment."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from judge.verdict_file import replace_text

logger = logging.getLogger(__name__)

RowT = TypeVar("RowT", bound=BaseModel)


def whole_rows(path: Path, row_type: type[RowT]) -> list[RowT]:
    """The rows of a file, none where it is missing. A damaged line (the last one, torn by a crash) is left out."""
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    rows: list[RowT] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(row_type.model_validate_json(line))
        except ValidationError:
            logger.warning("%s line %d is damaged: what it was about is asked again", path, number)
    return rows


def write_rows(path: Path, rows: Iterable[BaseModel]) -> None:
    """Write the whole file anew."""
    replace_text(path, "".join(map(_line, rows)))


def append_rows(path: Path, rows: Iterable[BaseModel]) -> None:
    """Add rows; they are on their way to the disk when this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(map(_line, rows))


def _line(row: BaseModel) -> str:
    return row.model_dump_json() + "\n"
