"""The last step of training a judge that gives hazards: fit its decoding, measure it, and write its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judge.calibration import Decoding
from judge.data.training_set import TrainingSet
from judge.judge_folder import BaseModelRef, Manifest, write_folder
from judge.settings import Settings
from judge.train.calibrate import Method, fit_decoding
from judge.train.card import CardFacts, draw_pictures, write_card
from judge.train.measures import first_error_measures
from judge.types import Record


@dataclass(frozen=True, slots=True)
class Scored:
    """Records that were not trained on, and the raw hazards of all their steps."""

    records: Sequence[Record]
    scores: Sequence[Sequence[float]]

    @property
    def labels(self) -> list[int]:
        """Their first errors."""
        return [record.label for record in self.records if record.label is not None]

    def without(self, ids: frozenset[str]) -> Scored:
        """Only the records that are not among ``ids``."""
        kept = [(r, s) for r, s in zip(self.records, self.scores, strict=True) if r.id not in ids]
        return Scored([record for record, _ in kept], [scores for _, scores in kept])

    def measures(self, decoding: Decoding) -> dict[str, Any]:
        """How well the decoded scores find the first errors."""
        num_steps = [len(record.steps) for record in self.records]
        # Flawed reasoning to a right answer is not known to be wrong: SGPO never asks about it.
        known_wrong = [record.final_answer_correct is not True for record in self.records]
        return first_error_measures(self.scores, self.labels, num_steps, decoding, known_wrong)


@dataclass(frozen=True, slots=True)
class Trained:
    """A judge that only lacks its decoding."""

    kind: str
    settings: Settings
    base: BaseModelRef | None
    head: Mapping[str, Any]
    """For the manifest: what the arrays are."""
    arrays: Mapping[str, Any]
    validation: Scored
    calibration: Scored
    evaluation: Mapping[str, Scored]
    facts: CardFacts
    metrics: Mapping[str, Any] = field(default_factory=dict)
    write_more: Callable[[Path], None] = lambda _: None
    """Writes what is neither an array nor a picture (an adapter, a model) into the folder it is given."""


def finish(trained: Trained, data: TrainingSet, method: Method, output: Path) -> dict[str, Any]:
    """Write the judge's folder.

    Returns:
        What was measured, and what became of the data.

    Raises:
        DataError: a calibration split that cannot be fitted on.
    """
    calibration = trained.calibration
    decoding, calibrated = fit_decoding(calibration.scores, calibration.labels, method)
    manifest = Manifest(
        kind=trained.kind,
        base=trained.base,
        decoding=decoding,
        data_digest=data.digest,
        head=dict(trained.head),
        training=trained.settings.model_dump(mode="json"),
        metrics={
            **trained.metrics,
            "validation": trained.validation.without(data.partial).measures(decoding),
            "calibration": calibrated,
            "evaluation": {name: scored.measures(decoding) for name, scored in trained.evaluation.items()},
        },
    )

    def more(folder: Path) -> None:
        trained.write_more(folder)
        shown = trained.validation.without(data.partial)
        if not shown.records:
            shown = calibration
        draw_pictures(folder, shown.scores, shown.labels, decoding, trained.facts)

    write_folder(output, manifest, trained.arrays, write_card(manifest, trained.facts, data.report), more)
    return {**manifest.metrics, "data": data.report}
