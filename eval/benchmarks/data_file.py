"""The content of a benchmark: one file, a folder of files, or splits of a hub data set."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from judge.data.folder import folder_files
from judge.data.hub import hub_rows
from judge.data.items import Item, content_items, is_hub_path
from judge.errors import DataError
from judge.records import GZIP


@dataclass(frozen=True, slots=True)
class DataFile:
    """The content of a data file, unpacked; of a folder, what its files hold."""

    path: Path
    content: bytes
    parts: tuple[DataFile, ...] = ()
    """The files of a folder or the splits of a hub data set; a single file has none."""

    @property
    def digest(self) -> str:
        """SHA-256 of the unpacked content: the same for a file and its gzipped form."""
        if self.parts:
            return hashlib.sha256("".join(part.digest for part in self.parts).encode()).hexdigest()
        return hashlib.sha256(self.content).hexdigest()

    @property
    def stem(self) -> str:
        """What the file is called, without folders, suffixes and the hub's owner.

        >>> [DataFile(Path(path), b"").stem for path in ("data/word_sorting.sample.jsonl", "Qwen/ProcessBench#math")]
        ['word_sorting', 'math']
        """
        return self.path.name.rpartition("#")[2].partition(".")[0]

    def files(self) -> tuple[DataFile, ...]:
        """The single files."""
        return self.parts or (self,)

    def items(self) -> Iterator[Item]:
        """The objects of a single file.

        Raises:
            DataError: while they are read, when the file is damaged.
        """
        return content_items(self.content, str(self.path))


def read_data_file(path: Path | str) -> DataFile:
    """Read a plain or gzipped file (told apart by content, not by name), a folder, or one split of a hub data set.

    Raises:
        DataError: when it is missing or damaged.
        ConfigError: a hub data set of which a split must be chosen, or a package is missing.
    """
    if is_hub_path(str(path)):
        lines = (json.dumps(row, sort_keys=True, default=str) for row in hub_rows(str(path)))
        return DataFile(Path(path), "\n".join(lines).encode())
    path = Path(path)
    if path.is_dir():
        return DataFile(path, b"", tuple(map(_read_file, folder_files(path))))
    return _read_file(path)


def read_splits(path: str, splits: Sequence[str]) -> DataFile:
    """Read several splits of a hub data set.

    Raises:
        DataError: when one cannot be loaded.
    """
    return DataFile(Path(path), b"", tuple(read_data_file(f"{path}#{split}") for split in splits))


def _read_file(path: Path) -> DataFile:
    try:
        content = path.read_bytes()
        if content.startswith(GZIP):
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file; give the benchmark's data file, its folder, or a hub data set with --path"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    return DataFile(path, content)
