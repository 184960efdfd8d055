"""What the folders of a report hold: a judge's run, an attack run, a policy's samples, or several of these.

A summary's keys are checked, so that a folder of another version is refused by name and not half shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from eval.attack_run import SUMMARY_NAME as ATTACKS_NAME
from eval.judged import JudgedRow
from eval.log import LOG_NAME, SUMMARY_NAME, LogRow, read_log
from eval.metrics import confusion
from judge.errors import DataError
from judge.records import faults, parse_object

Figures = dict[str, Any]
ANY_SUMMARY: Final = (SUMMARY_NAME, ATTACKS_NAME)


class JudgeSummary(BaseModel):
    """``summary.json`` of a judge; figures such as ``f1`` stand beside these fields (see `figure`)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    benchmark: str
    path: str
    data_digest: str
    judge_id: str
    known_wrong: bool
    num_rows: int
    num_error: int
    num_correct: int
    num_unscored: int
    num_failed: int
    unscored: dict[str, int]
    headline: list[str]
    intervals: dict[str, list[float] | None]
    baselines: dict[str, Figures]
    by_subset: dict[str, Figures]
    by_length: dict[str, Figures]
    confusion: dict[str, dict[str, int]]
    reliability: list[Figures]
    thresholds: Figures | None
    fidelity: Figures | None
    seconds: float
    usage: dict[str, int]
    drawn: list[str] | None = None
    """The ids of the rows that ``--limit`` drew; None: all."""
    dropped: dict[str, int] = {}
    repaired: dict[str, int] = {}

    def figure(self, name: str) -> float | None:
        """A figure by its key; None where it is not defined or not there."""
        value = (self.model_extra or {}).get(name)
        return float(value) if isinstance(value, int | float) else None

    def fact(self, name: str) -> str:
        """Another entry as text; empty where there is none."""
        value = (self.model_extra or {}).get(name)
        return "" if value is None else str(value)


class AttackSummary(BaseModel):
    """``attacks.json``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    benchmark: str
    judge_id: str
    originals: dict[str, Figures]
    attacks: dict[str, Figures]


class PolicySummary(BaseModel):
    """``summary.json`` of a policy."""

    model_config = ConfigDict(extra="allow", frozen=True)

    benchmark: str
    policy: str
    k: int
    temperature: float
    max_tokens: int
    avg_at_k: float | None
    maj_at_k: float | None
    intervals: dict[str, list[float] | None]
    num_problems: int
    num_samples: int
    num_unscored_samples: int
    num_cut_off: int
    num_without_answer: int


@dataclass(frozen=True, slots=True)
class JudgeRun:
    """A judge on a benchmark."""

    name: str
    """What the page calls it: its folder's name."""
    summary: JudgeSummary
    rows: tuple[LogRow, ...]

    def judged(self) -> list[JudgedRow]:
        """The rows as the figures are made of them."""
        return [
            JudgedRow(
                row.problem or row.id,
                row.label,
                row.num_steps,
                row.prediction,
                row.subset,
                row.step_error_probs,
                blank_step=row.blank_step,
            )
            for row in self.rows
        ]


@dataclass(frozen=True, slots=True)
class Contents:
    """All folders together."""

    judges: tuple[JudgeRun, ...] = ()
    attacks: tuple[tuple[str, AttackSummary], ...] = ()
    """With the folders' names."""
    policies: tuple[tuple[str, PolicySummary], ...] = ()


SummaryT = TypeVar("SummaryT", bound=BaseModel)


def read_folders(folders: list[Path]) -> Contents:
    """Read every folder.

    Raises:
        DataError: a folder without a finished run, or with one that this version cannot show.
    """
    names = _names(folders)
    judges: list[JudgeRun] = []
    attacks: list[tuple[str, AttackSummary]] = []
    policies: list[tuple[str, PolicySummary]] = []
    for folder, name in zip(folders, names, strict=True):
        if folder.is_file():
            raise DataError(f"{folder}: is a file; give its folder: {folder.parent}")
        if not any((folder / file).is_file() for file in ANY_SUMMARY):
            raise DataError(f"{folder}: holds no {' or '.join(ANY_SUMMARY)}; give the folder of a finished run")
        if (folder / SUMMARY_NAME).is_file():
            if "policy" in _read(folder / SUMMARY_NAME):
                policies.append((name, _checked(PolicySummary, folder / SUMMARY_NAME)))
            else:
                judges.append(_judge_run(folder, name))
        if (folder / ATTACKS_NAME).is_file():
            attacks.append((name, _checked(AttackSummary, folder / ATTACKS_NAME)))
    return Contents(tuple(judges), tuple(attacks), tuple(policies))


def _judge_run(folder: Path, name: str) -> JudgeRun:
    """A log may hold more rows than the summary is about, when the last run had a smaller ``--limit``."""
    summary = _checked(JudgeSummary, folder / SUMMARY_NAME)
    rows = read_log(folder / LOG_NAME)
    if summary.drawn is not None:
        drawn = set(summary.drawn)
        rows = [row for row in rows if row.id in drawn]
    run = JudgeRun(name, summary, tuple(rows[: summary.num_rows]))
    if confusion(run.judged()) != summary.confusion:
        raise DataError(
            f"{folder}: {LOG_NAME} and {SUMMARY_NAME} do not agree; run the command that made the folder again"
        )
    return run


def _read(path: Path) -> dict[str, object]:
    try:
        return parse_object(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _checked(model: type[SummaryT], path: Path) -> SummaryT:
    try:
        return model.model_validate(_read(path))
    except ValidationError as error:
        raise DataError(
            f"{path}: not a summary that can be shown ({faults(error)}); run its command again, or "
            "`sgpo-eval score --log` for a judge's log"
        ) from None


def _names(folders: list[Path]) -> list[str]:
    """The last part of each path; where two would be called the same, as many parts as tell them apart."""
    parts = [folder.resolve().parts for folder in folders]

    def name(index: int) -> str:
        own = parts[index]
        for count in range(1, len(own)):
            if sum(other[-count:] == own[-count:] for other in parts) == 1:
                return "/".join(own[-count:])
        return str(folders[index])

    return [name(index) for index in range(len(folders))]
