"""Folders of data files: which files of them are read."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import Final

from judge.errors import DataError
from judge.records import GZIP

SUFFIXES: Final = (".json", ".jsonl", ".json.gz", ".jsonl.gz", ".parquet")
"""What is read of a folder."""


def folder_files(folder: Path) -> list[Path]:
    """The data files that lie in a folder, by name; deeper folders are not looked into.

    Raises:
        DataError: when there is none, one cannot be read, or two hold the same: every row would count twice.
    """
    paths = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and path.is_file())
    if not paths:
        raise DataError(f"{folder}: cannot be read: the folder holds no file named *{', *'.join(SUFFIXES)}")
    seen: dict[str, Path] = {}
    for path in paths:
        first = seen.setdefault(_digest(path), path)
        if first != path:
            raise DataError(
                f"{path}: holds the same as {first.name}, every row would count twice; take one of them away"
            )
    return paths


def _digest(path: Path) -> str:
    """Of the unpacked content."""
    try:
        with path.open("rb") as file:
            if not file.peek(len(GZIP)).startswith(GZIP):
                return hashlib.file_digest(file, "sha256").hexdigest()
            with gzip.open(file) as unpacked:
                return hashlib.file_digest(unpacked, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
