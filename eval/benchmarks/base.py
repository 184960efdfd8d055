"""What a benchmark is, and which ones there are."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from judge.errors import ConfigError, DataError
from judge.types import Record


@dataclass(frozen=True, slots=True)
class DataFile:
    """The content of a data file, unpacked."""

    path: Path
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the unpacked content: the same for a file and its gzipped form."""
        return hashlib.sha256(self.content).hexdigest()


class Benchmark(Protocol):
    """Labelled solutions in one upstream schema."""

    @property
    def name(self) -> str:
        """What the command line calls it."""
        ...

    @property
    def description(self) -> str:
        """One line for ``sgpo-eval list``."""
        ...

    def load(self, file: DataFile) -> list[Record]:
        """Read every row; each record has a label, and an id that no other has.

        Raises:
            DataError: naming the file, the row and the field.
        """
        ...


def benchmarks() -> dict[str, Benchmark]:
    """Every benchmark by its name."""
    from eval.benchmarks.processbench import ProcessBench

    return {benchmark.name: benchmark for benchmark in (ProcessBench(),)}


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of this name.

    Raises:
        ConfigError: for an unknown name, with the closest known one.
    """
    known = benchmarks()
    if name not in known:
        matches = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"did you mean '{matches[0]}'?" if matches else f"known: {', '.join(sorted(known))}"
        raise ConfigError(f"--benchmark {name}: no such benchmark; {hint}")
    return known[name]


def read_data_file(path: Path) -> DataFile:
    """Read a plain or gzipped file (told apart by content, not by name).

    Raises:
        DataError: when it is missing or damaged.
    """
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give the benchmark's data file with --path") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    return DataFile(path, content)
