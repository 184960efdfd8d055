"""From a configuration to the records that a judge is trained, validated and calibrated on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from pydantic import Field, model_validator

from judge.data.load_report import LoadReport
from judge.data.overlap import Overlap, find_overlap, refuse_overlap
from judge.data.problem_text import problem_key
from judge.data.shared_steps import contradictions
from judge.data.source import with_unique_ids
from judge.data.sources import load_source
from judge.data.splits import PARTS, Part, num_problems, part_of, sample_problems
from judge.errors import ConfigError
from judge.settings import Settings
from judge.types import NO_ERROR, Record

log = logging.getLogger(__name__)


class DataSource(Settings):
    """One file or hub data set."""

    source: str
    """The schema: a name of ``sgpo-judge data list``, such as "prm800k", or "records" for our own JSON lines."""
    path: str
    """A file, or a hub data set ``owner/name[:config][#split]``."""
    limit: int | None = Field(default=None, ge=1)
    """Use all solutions of so many problems, sampled by `DataSettings.seed`; not set: all."""
    calibrate: bool = True
    """Fit thresholds on this source too. False for solutions that are no whole ones (PRM800K's end at the first error,
    and its right ones are mostly beginnings): their problems of the calibration part go to the validation part."""


class DataSettings(Settings):
    """The ``[data]`` table of a training configuration."""

    sources: tuple[DataSource, ...] = Field(min_length=1)
    """What to train on, together."""
    validation_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of the problems that training is checked on."""
    calibration_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of the problems that thresholds and calibration are fitted on."""
    seed: int = 0
    """Decides the split and the samples."""
    allow_overlap: bool = False
    """Train on problems of evaluation sets: results on those then mean nothing."""

    @model_validator(mode="after")
    def _something_left(self) -> DataSettings:
        if self.validation_share + self.calibration_share >= 1:
            raise ValueError("validation_share + calibration_share must leave something to train on: below 1")
        return self


@dataclass(frozen=True)
class TrainingSet:
    """Labelled records, split by problem: no problem is in two parts."""

    train: list[Record]
    validation: list[Record]
    calibration: list[Record]
    digest: str
    """12 hex digits that change with any record and with the split."""
    partial: frozenset[str]
    """Ids of records that are no whole solutions (`DataSource.calibrate`): no first error is measured on them."""
    report: dict[str, object]
    """As JSON: what each source gave and lost, its overlap with evaluation sets, the sizes of the parts, and the
    steps that several solutions share with contradictory labels."""


def load_training_set(settings: DataSettings) -> TrainingSet:
    """Read all sources, check them against the evaluation sets, and split them by problem.

    Raises:
        ConfigError: an unknown source, evaluation problems without `DataSettings.allow_overlap`, or an empty part.
        DataError: a file that cannot be read, or holds no labelled row of its schema.
    """
    records: list[Record] = []
    not_for_calibration: set[str] = set()
    partials: list[bool] = []
    reports = []
    for number, source in enumerate(settings.sources):
        used, report = _load(source, settings, where=f"data.sources.{number} ({source.source}, {source.path})")
        records += used
        partials += [not source.calibrate] * len(used)
        if not source.calibrate:
            not_for_calibration |= {problem_key(record.problem) for record in used}
        reports.append(report)
    parts: dict[Part, list[Record]] = {part: [] for part in PARTS}
    partial: list[str] = []
    for record, is_partial in zip(with_unique_ids(records), partials, strict=True):
        part = part_of(record.problem, settings.seed, settings.validation_share, settings.calibration_share)
        if part == "calibration" and problem_key(record.problem) in not_for_calibration:
            part = "validation"
        parts[part].append(record)
        partial += [record.id] if is_partial else []
    _refuse_empty(parts, settings, num_problems(records))
    sizes = {part: _sizes(parts[part]) for part in PARTS}
    disputed = contradictions(records)
    if disputed:
        problem, steps = disputed[0]
        log.warning(
            "%d steps are right by one label and wrong by another (the first read counts), as step %d of '%.60s'",
            len(disputed),
            len(steps) - 1,
            problem,
        )
    return TrainingSet(
        train=parts["train"],
        validation=parts["validation"],
        calibration=parts["calibration"],
        digest=_digest(parts),
        partial=frozenset(partial),
        report={"sources": reports, "sizes": sizes, "contradictory_steps": len(disputed), "seed": settings.seed},
    )


def _load(source: DataSource, settings: DataSettings, where: str) -> tuple[list[Record], dict[str, object]]:
    """The records to use of one source, and what became of the others."""
    loaded = load_source(source.source, source.path)
    labelled = [record for record in loaded.records if record.label is not None]
    if not labelled:
        raise ConfigError(f"{where}: no row has a label; add 'label' to the rows, or leave this source out")
    used = labelled if source.limit is None else sample_problems(labelled, source.limit, settings.seed)
    overlap = find_overlap(used)
    if not settings.allow_overlap:
        refuse_overlap(overlap, where)
    elif overlap.num_shared:
        log.warning("%s: %s", where, overlap)
    return used, _source_report(loaded.report, len(loaded.records) - len(labelled), used, overlap)


def _source_report(
    report: LoadReport, num_unlabelled: int, used: Sequence[Record], overlap: Overlap
) -> dict[str, object]:
    return report.to_dict() | {
        "unlabelled": num_unlabelled,
        "not_sampled": report.kept - num_unlabelled - len(used),
        "used": len(used),
        "overlap": overlap.to_dict(),
    }


def _refuse_empty(parts: Mapping[Part, Sequence[Record]], settings: DataSettings, num_all: int) -> None:
    wanted = {"train": True, "validation": settings.validation_share, "calibration": settings.calibration_share}
    for part in PARTS:
        if wanted[part] and not parts[part]:
            fix = "lower the other shares" if part == "train" else f"raise data.{part}_share"
            raise ConfigError(f"no problem fell into the {part} part ({num_all} in all); {fix}, or add data")


def _sizes(records: Sequence[Record]) -> dict[str, int]:
    num_wrong = sum(record.label != NO_ERROR for record in records)
    return {"records": len(records), "problems": num_problems(records), "with_error": num_wrong}


def _digest(parts: Mapping[Part, Iterable[Record]]) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for part, records in parts.items():
        for record in records:
            digest.update(json.dumps([part, asdict(record)], sort_keys=True).encode())
    return digest.hexdigest()
