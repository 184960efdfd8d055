"""Do records hold problems of an evaluation set? Judges are compared on those, so nothing is trained on them.

The sets' problems are known by fingerprints in ``evaluation_problems.txt``, made by ``sgpo-judge data fingerprints``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from judge.data.items import read_items
from judge.data.problem_text import FINGERPRINT_BYTES, fingerprint
from judge.data.sources import sources
from judge.errors import ConfigError, DataError
from judge.types import Record

FINGERPRINT_FILE: Final = "evaluation_problems.txt"
_PROBLEM_FIELDS: Final = ("problem", "question", "prompt", "input")


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many problems are an evaluation set's."""

    num_problems: int
    num_shared: int
    shared_by_set: Mapping[str, int]
    """A problem may be in several sets."""
    shared: frozenset[str]
    """The shared problems' texts, in all the ways in which they are written."""

    def __str__(self) -> str:
        sets = ", ".join(f"{name} {count}" for name, count in self.shared_by_set.items() if count)
        return (
            f"{self.num_shared} of {self.num_problems} problems are evaluation problems{f' ({sets})' if sets else ''}"
        )

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {"problems": self.num_problems, "shared": self.num_shared, "by_set": dict(self.shared_by_set)}


def find_overlap(records: Iterable[Record]) -> Overlap:
    """Compare the records' problems with all evaluation sets.

    Records whose source is an evaluation set count as well: the packaged fingerprints do not cover all subsets.
    """
    evaluation_only = {source.name for source in sources().values() if source.evaluation_only}
    texts: dict[str, bytes] = {}
    found: dict[bytes, set[str]] = {}
    for record in records:
        if record.problem not in texts:
            mark = texts[record.problem] = fingerprint(record.problem)
            found.setdefault(mark, {name for name, marks in evaluation_fingerprints().items() if mark in marks})
        if record.source in evaluation_only:
            found[texts[record.problem]].add(record.source)
    counts = dict.fromkeys([*evaluation_fingerprints(), *sorted(evaluation_only)], 0)
    for names in found.values():
        for name in names:
            counts[name] += 1
    shared = frozenset(text for text, mark in texts.items() if found[mark])
    return Overlap(len(found), sum(map(bool, found.values())), counts, shared)


def refuse_overlap(overlap: Overlap, where: str) -> None:
    """Complain about evaluation problems in training data.

    Raises:
        ConfigError: when there is any.
    """
    if overlap.num_shared:
        example = min(overlap.shared)
        raise ConfigError(
            f"{where}: {overlap}, such as {' '.join(example.split())[:80]!r}; leave them out with 'sgpo-judge data "
            "convert --without-evaluation-problems', or set data.allow_overlap = true"
        )


@cache
def evaluation_fingerprints() -> Mapping[str, frozenset[bytes]]:
    """The packaged fingerprints of every evaluation set."""
    text = resources.files("judge.data").joinpath(FINGERPRINT_FILE).read_text(encoding="ascii")
    sets: dict[str, set[bytes]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            sets[name] = set()
        elif line and not line.startswith("#"):
            sets[name].add(bytes.fromhex(line))
    return {name: frozenset(marks) for name, marks in sets.items()}


def write_fingerprints(paths: Mapping[str, str], output: Path) -> dict[str, int]:
    """Fingerprint the problems of files and write them; gives the number of problems of each set.

    Args:
        paths: a file or hub data set for each set's name; rows hold the text in one of ``problem, question, prompt,
            input``.
        output: the text file to write.

    Raises:
        DataError: when a row has no problem text.
    """
    lines = [f"# {FINGERPRINT_BYTES}-byte BLAKE2b fingerprints of evaluation problems (judge.data.problem_text)."]
    sizes = {}
    for name, path in paths.items():
        marks = {fingerprint(_problem_text(item.value, item.where)) for item in read_items(path)}
        if not marks:
            raise DataError(f"{path}: holds no rows")
        lines += [f"[{name}]", *sorted(mark.hex() for mark in marks)]
        sizes[name] = len(marks)
    output.write_text("\n".join(lines) + "\n", encoding="ascii")
    return sizes


def _problem_text(row: object, where: str) -> str:
    for field in _PROBLEM_FIELDS:
        text = row.get(field) if isinstance(row, dict) else None
        if isinstance(text, str) and text.strip():
            return text
    raise DataError(f"{where}: no problem text in any of {', '.join(_PROBLEM_FIELDS)}")
