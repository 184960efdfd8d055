"""The folder of an evaluation: which run it holds, and one line per judged row.

``run.json`` says what the rows were judged with; ``log.jsonl`` grows by one line per row and survives being killed at
any moment; ``summary.json`` is written at the end and can be made again from the log.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from judge.errors import ConfigError
from judge.types import UnscoredReason

logger = logging.getLogger(__name__)

FAILURES: Final = frozenset({UnscoredReason.JUDGE_UNAVAILABLE, UnscoredReason.JUDGE_TIMEOUT})
"""The judge did not answer: the row is judged again when the run is resumed. Every other reason is an answer."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What must be the same for two runs to share a folder."""

    benchmark: str
    data_digest: str
    judge_id: str
    known_wrong: bool


class LogRow(BaseModel):
    """One judged row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    label: int
    prediction: int | None
    """0-based index of the first wrong step, -1 for none, None when unscored."""
    reason: UnscoredReason | None = None
    """Why there is no prediction."""
    message: str | None = None
    num_steps: int
    step_error_probs: tuple[float, ...] | None = None
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


def open_folder(folder: Path, identity: RunIdentity) -> None:
    """Make the folder and mark it with this run, or check that it holds the same run.

    Raises:
        ConfigError: when it holds another run, naming what differs.
    """
    marker = folder / "run.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not marker.exists():
            _write_whole(marker, json.dumps(asdict(identity), indent=2) + "\n")
            return
        there = json.loads(marker.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"--output {folder}: cannot be used: {error}") from None
    here = asdict(identity)
    different = [key for key in here if there.get(key) != here[key]]
    if different:
        facts = "; ".join(f"{key} there {there.get(key)!r}, here {here[key]!r}" for key in different)
        raise ConfigError(f"--output {folder}: holds another run ({facts}); choose another folder")


def resume_log(path: Path) -> dict[str, LogRow]:
    """The finished rows of a log by id. The file is left with exactly these.

    Rows at which the judge failed, and a last line torn by a crash, are taken out: they are judged again.
    """
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    rows: dict[str, LogRow] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = LogRow.model_validate_json(line)
        except ValidationError:
            logger.warning("%s line %d is damaged: its row is judged again", path, number)
            continue
        if not row.failed:
            rows[row.id] = row
    _write_whole(path, "".join(map(log_line, rows.values())))
    return rows


def log_line(row: LogRow) -> str:
    """The row as a line of JSON."""
    return row.model_dump_json(exclude_none=False) + "\n"


def append(path: Path, rows: Sequence[LogRow]) -> None:
    """Add rows to the log; they are on their way to the disk when this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(map(log_line, rows))


def write_summary(path: Path, summary: Mapping[str, object]) -> None:
    """Write the summary as readable JSON."""
    _write_whole(path, json.dumps(summary, indent=2) + "\n")


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
