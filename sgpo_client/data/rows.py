"""Rows of raw fields from a JSONL file or a hub data set, each with its place for error messages."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgpo_client.data.settings import DataSettings
from sgpo_client.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Row:
    """One row, not looked into yet."""

    id: str
    """Name of the file or data set and number of the row: ``train-1`` is the first line of train.jsonl."""
    where: str
    """For messages: ``train.jsonl line 1``."""
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RowSource:
    """A name for people, and the rows, read as they are asked for."""

    name: str
    rows: Iterator[Row]


def training_rows(settings: DataSettings) -> RowSource:
    """The file or hub split that the training problems come from.

    Raises:
        ConfigError: when the setting that names it is missing.
    """
    if settings.source == "hub":
        return _hub_source(settings, settings.split)
    if settings.path is None:
        raise ConfigError("data.path is not set: source = 'jsonl' needs the path of a JSONL file, plain or .gz")
    return RowSource(str(settings.path), jsonl_rows(settings.path, "data.path"))


def evaluation_rows(settings: DataSettings) -> RowSource | None:
    """The file or hub split of the evaluation problems; None when they are to be held out from the training ones."""
    if settings.source == "hub":
        return None if settings.eval_split is None else _hub_source(settings, settings.eval_split)
    if settings.eval_path is None:
        return None
    return RowSource(str(settings.eval_path), jsonl_rows(settings.eval_path, "data.eval_path"))


def _hub_source(settings: DataSettings, split: str) -> RowSource:
    if settings.name is None:
        raise ConfigError("data.name is not set: source = 'hub' needs the id of a data set, such as openai/gsm8k")
    return RowSource(f"{settings.name} split {split}", hub_rows(settings.name, settings.subset, split))


def jsonl_rows(path: Path, setting: str) -> Iterator[Row]:
    """Rows of a JSONL file, plain or gzipped; blank lines are passed over.

    Args:
        path: the file.
        setting: the setting that names it, for error messages.

    Raises:
        DataError: when the file cannot be read, or a line is not a JSON object.
    """
    stem = path.name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".json")
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield Row(f"{stem}-{number}", f"{path} line {number}", _parse_line(line, f"{path} line {number}"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; set {setting} to a JSONL file, plain or .gz") from None
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}; set {setting} to a JSONL file, plain or .gz") from None


def _parse_line(line: bytes, where: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}; every line must hold one JSON object") from None
    if not isinstance(fields, dict):
        raise DataError(f"{where}: holds a {type(fields).__name__}; every line must hold one JSON object")
    return fields


def hub_rows(name: str, subset: str | None, split: str) -> Iterator[Row]:
    """Rows of one split of a hub data set, or of a local folder that `datasets.load_dataset` reads.

    Raises:
        DataError: when the data set cannot be loaded.
    """
    try:
        import datasets
    except ImportError:
        raise ConfigError("data.source = 'hub' needs the datasets package: pip install 'sgpo[train]'") from None
    try:
        rows = datasets.load_dataset(name, subset, split=split)
    except Exception as error:  # the hub library lets through errors of many libraries; this is the edge to it
        raise DataError(
            f"data set {name} (subset {subset}, split {split}) cannot be loaded: {error}; "
            "check data.name, data.subset, data.split and the network, or use source = 'jsonl' with data.path"
        ) from None
    for number, fields in enumerate(rows):
        yield Row(f"{name}-{split}-{number}", f"{name} split {split} row {number}", fields)
