"""The folder of an evaluation: which run it holds, and one line per judged row.

``run.json`` says what the rows were judged with; ``log.jsonl`` grows by one line per row and survives being killed at
any moment; ``summary.json`` is written at the end and can be made again from the log.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from eval.row_file import whole_rows, write_rows
from judge.errors import ConfigError, DataError
from judge.records import faults, numbered_lines
from judge.types import UnscoredReason
from judge.verdict_file import replace_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

logger = logging.getLogger(__name__)

MARKER_NAME: Final = "run.json"
LOG_NAME: Final = "log.jsonl"
SUMMARY_NAME: Final = "summary.json"

FAILURES: Final = frozenset({UnscoredReason.JUDGE_UNAVAILABLE, UnscoredReason.JUDGE_TIMEOUT})
"""The judge did not answer: the row is judged again when the run is resumed. Every other reason is an answer."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What must be the same for two runs to share a folder."""

    benchmark: str
    data_digest: str
    judge_id: str
    known_wrong: bool


def refuse_other_draw(log: Path, logged: Iterable[str], wanted: Iterable[str]) -> None:
    """Refuse to mix the rows of two draws in one log. More rows of the same draw, or fewer, are no other draw.

    Args:
        log: named in the message.
        logged: ids of its rows.
        wanted: ids of the rows that the run is about.

    Raises:
        ConfigError: when rows would come to some that this run leaves out.
    """
    there, asked = set(logged), set(wanted)
    if there - asked and asked - there:
        raise ConfigError(
            f"{log}: holds {len(there - asked)} rows that this run leaves out, and not the {len(asked - there)} that "
            "it needs: it was drawn with another --seed; give another --output, or the --seed of before"
        )


class LogRow(BaseModel):
    """One judged row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    label: int
    prediction: int | None
    """0-based index of the first wrong step, -1 for none, None when unscored."""
    blank_step: bool = False
    """A prediction made elsewhere names a step without text; `prediction` is what stands for it (see `StepMap`)."""
    reason: UnscoredReason | None = None
    """Why there is no prediction."""
    message: str | None = None
    num_steps: int
    subset: str = ""
    problem: str | None = None
    """The same for rows of one problem; see `eval.benchmarks.example.Example.cluster`."""
    step_error_probs: tuple[float, ...] | None = None
    error_steps: tuple[int, ...] | None = None
    """Every step that is called wrong, from 0, where predictions made elsewhere say so."""
    expected_rts: float | None = None
    confidence: float | None = None
    critique: str | None = None
    """What the judge said, or its unusable reply."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    seconds: float = 0.0
    """This row's share of its batch's wall-clock time."""

    @property
    def failed(self) -> bool:
        """True when the judge did not answer at all."""
        return self.reason in FAILURES


def open_folder(folder: Path, identity: DataclassInstance) -> None:
    """Make the folder and mark it with this run, or check that it holds the same run.

    Args:
        identity: what must be the same for two runs to share a folder: a `RunIdentity`, or another kind of run's.

    Raises:
        ConfigError: when it holds another run, naming what differs.
    """
    marker = folder / MARKER_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not marker.exists():
            replace_text(marker, json.dumps(asdict(identity), indent=2) + "\n")
            return
        there = json.loads(marker.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"--output {folder}: cannot be used ({marker.name}): {error}") from None
    if not isinstance(there, dict):
        raise ConfigError(f"--output {folder}: {marker.name} is no marker of a run; choose another folder")
    here = asdict(identity)
    different = [key for key in here if there.get(key) != here[key]]
    if different:
        facts = "; ".join(f"{key} there {there.get(key)!r}, here {here[key]!r}" for key in different)
        raise ConfigError(f"--output {folder}: holds another run ({facts}); choose another folder")


def read_identity(folder: Path) -> RunIdentity | None:
    """The run that a folder holds; None when it holds none.

    Raises:
        DataError: when its marker cannot be read.
    """
    marker = folder / MARKER_NAME
    if not marker.is_file():
        return None
    try:
        there = json.loads(marker.read_bytes())
        return RunIdentity(**{item.name: there[item.name] for item in fields(RunIdentity)})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{marker}: is no marker of a run: {type(error).__name__}: {error}") from None


def read_log(path: Path) -> list[LogRow]:
    """All rows of a finished or unfinished log. A damaged last line (a run was killed) is left out, with a warning.

    Raises:
        DataError: no such file, a damaged line that is not the last, or an id that comes twice.
    """
    rows: list[LogRow] = []
    places: dict[str, int] = {}
    lines = list(numbered_lines(path))
    for number, line in lines:
        try:
            row = LogRow.model_validate_json(line)
        except ValidationError as error:
            if number != lines[-1][0] or line.endswith("\n"):
                raise DataError(f"{path}: line {number} is not a row of a log: {faults(error)}") from None
            logger.warning("%s line %d is cut off: left out", path, number)
            continue
        if places.setdefault(row.id, number) != number:
            raise DataError(f"{path}: line {number}: 'id' = {row.id!r} was already used in line {places[row.id]}")
        rows.append(row)
    if not rows:
        raise DataError(f"{path}: the log holds no rows")
    return rows


def resume_log(path: Path) -> dict[str, LogRow]:
    """The finished rows of a log by id. The file is left with exactly these.

    Rows at which the judge failed, and a last line torn by a crash, are taken out: they are judged again.
    """
    rows = {row.id: row for row in whole_rows(path, LogRow) if not row.failed}
    write_rows(path, rows.values())
    return rows


def write_summary(path: Path, summary: Mapping[str, object]) -> None:
    """Write the summary as readable JSON."""
    replace_text(path, json.dumps(summary, indent=2) + "\n")
