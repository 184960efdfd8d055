"""Objects of a data file or of a hub data set, one by one, each with its place for error messages.

A file is a JSON list, a JSON object of lists (as Mr-Ben's), JSON lines or Parquet; gzip is told by its first bytes, not
by its name.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from judge.data.folder import folder_files
from judge.data.hub import hub_rows, is_hub_id
from judge.errors import ConfigError, DataError
from judge.records import GZIP

_PARQUET: Final = b"PAR1"
_ENCODING: Final = "utf-8-sig"  # a byte-order mark is skipped


@dataclass(frozen=True, slots=True)
class Item:
    """One object of a source, not looked into yet."""

    where: str
    """For messages: ``train.json: row 3``, counted from 1."""
    value: object


def read_items(path: str) -> Iterator[Item]:
    """The objects of a file, of the files of a folder, or of a hub data set ``owner/name[:config][#split]``.

    Raises:
        DataError: no such file, a damaged file, a folder without data (see `folder_files`), or a hub data set that
            cannot be loaded.
        ConfigError: a package is missing that this kind of file needs.
    """
    if is_hub_path(path):
        return _numbered(path, hub_rows(path))
    if Path(path).is_dir():
        return (item for file in folder_files(Path(path)) for item in _file_items(file))
    return _file_items(Path(path))


def is_hub_path(path: str) -> bool:
    """True for a hub data set that is not the name of something here."""
    # A name whose first part is a folder here is a file that is missing; asking the hub would take half a minute.
    return is_hub_id(path) and not Path(path).exists() and not Path(path).parent.is_dir()


def content_items(content: bytes, name: str) -> Iterator[Item]:
    """The objects of a JSON or Parquet file that was read (and unpacked) already."""
    if content.startswith(_PARQUET):
        return _numbered(name, _parquet_rows(io.BytesIO(content), Path(name)))
    return _json_items(io.TextIOWrapper(io.BytesIO(content), encoding=_ENCODING), name)


def _file_items(path: Path) -> Iterator[Item]:
    try:
        with path.open("rb") as file:
            start = file.peek(4)[:4]
            if start == _PARQUET:
                yield from _numbered(str(path), _parquet_rows(file, path))
            elif start.startswith(GZIP):
                with gzip.open(file) as unpacked:
                    yield from _json_items(io.TextIOWrapper(unpacked, encoding=_ENCODING), str(path))
            else:
                yield from _json_items(io.TextIOWrapper(file, encoding=_ENCODING), str(path))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file, and not a hub data set either (those are owner/name#split)") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _numbered(name: str, values: Iterable[object]) -> Iterator[Item]:
    for number, value in enumerate(values, start=1):
        yield Item(f"{name}: row {number}", value)


def _json_items(text: IO[str], name: str) -> Iterator[Item]:
    try:
        yield from _numbered(name, _json_values(text, name))
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: is not UTF-8 text: {error}") from None


def _json_values(text: IO[str], name: str) -> Iterator[object]:
    """JSON lines are read one by one; anything else is read whole."""
    numbered = ((number, line) for number, line in enumerate(text, start=1) if line.strip())
    first_number, first = next(numbered, (1, ""))
    if not first:
        return
    if first.lstrip().startswith("["):
        yield from _json_list(first + text.read(), name)
        return
    try:
        value = json.loads(first)
    except (ValueError, RecursionError) as error:
        yield from _json_object(first + text.read(), f"{name}: line {first_number} is not JSON: {error}")
        return
    yield from _opened(value)
    for number, line in numbered:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{name}: line {number} is not JSON: {error}") from None
        yield from _opened(value)


def _json_list(text: str, name: str) -> list[object]:
    try:
        values: list[object] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: is not a JSON list: {error}") from None
    return values


def _json_object(text: str, otherwise: str) -> Iterator[object]:
    """An object over several lines; ``otherwise`` is the complaint when it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise DataError(otherwise) from None
    yield from _opened(value)


def _opened(value: object) -> Iterator[object]:
    """The objects inside an object of lists of objects; anything else is one row."""
    if isinstance(value, dict) and value:
        lists = [inner for inner in value.values() if isinstance(inner, list) and inner]
        if len(lists) == len(value) and all(isinstance(row, dict) for inner in lists for row in inner):
            yield from (row for inner in lists for row in inner)
            return
    yield value


def _parquet_rows(file: IO[bytes], path: Path) -> Iterator[object]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(f"{path}: Parquet files need the pyarrow package: pip install 'sgpo[train]'") from None
    try:
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches():
            yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: is not a Parquet file that can be read: {error}") from None
