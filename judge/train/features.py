"""``sgpo-judge train features``: a table of features for every labelled step, and an estimator of scikit-learn on it.

The probe's scores on the training steps come from probes that did not see their problems (cross-fitting), so that the
estimator learns how far a probe can be trusted on new problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from judge.calibration import logit
from judge.data.shared_steps import Prefix, num_labelled, prefix
from judge.encoding import StepEncoder
from judge.errors import DataError
from judge.features.estimators import Estimator, from_boosting, from_logistic, log_odds
from judge.features.matrix import Surprisals, feature_names, feature_table
from judge.judge_folder import BaseModelRef
from judge.judges.features import PROBE_PREFIX, FeaturesShape, digit_tokens
from judge.probe_head import HeadShape, ProbeHead, to_arrays
from judge.settings import Settings
from judge.train.begin import Begun, begin
from judge.train.card import CardFacts
from judge.train.cross_fit import out_of_fold_scores
from judge.train.finish import Scored, Trained, finish
from judge.train.head import score_records
from judge.train.probe import ProbeTraining, base_reference, best_head, prepare, work_folder
from judge.train.states import Store
from judge.train.stores import Stores, collect_stores
from judge.types import Record, Solution

INTENDED_USE: Final = (
    "Finds the first wrong step of a solution from cheap features of each step: recomputed arithmetic, numbers that "
    "come from nowhere, what a frozen language model's states say, length, position. Made for SGPO's rewards on groups "
    "of wrong answers; every verdict names the features that decided."
)
WEAKNESSES: Final = (
    "It reads surface signs and recomputes plain arithmetic; it does not follow the reasoning. A policy trained on "
    "its verdicts for long will learn to look right: watch the agreement with outcomes, step counts and lengths.",
    "What it knows of errors is what its training data held; on other kinds of problems measure it first (sgpo-eval).",
)


class EstimatorTraining(Settings):
    """The model of scikit-learn that weighs the features."""

    kind: Literal["boosting", "logistic"] = "boosting"
    num_trees: int = Field(default=300, ge=1)
    depth: int = Field(default=3, ge=1, le=12)
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    subsample: float = Field(default=0.5, gt=0, le=1)
    """Share of the steps that each tree sees."""
    min_steps_per_leaf: int = Field(default=50, ge=1)
    strength: float = Field(default=0.1, gt=0)
    """``logistic``: inverse of the penalty (scikit-learn's C)."""
    seed: int = 0


class FeaturesTraining(ProbeTraining):
    """A configuration of ``sgpo-judge train features``: that of its probe, and the estimator's."""

    probe: bool = True
    """Use a probe's scores as features."""
    surprisal: bool = False
    """Use the surprisals of the tokens as features; the whole language model is run then."""
    folds: int = Field(default=3, ge=2, le=20)
    """Parts of the training problems that the probe is cross-fitted on."""
    estimator: EstimatorTraining = EstimatorTraining()


@dataclass(frozen=True, slots=True)
class Part:
    """Records of one part of the data, with what the language model says of their steps."""

    records: Sequence[Record]
    logits: Sequence[Sequence[float]] | None = None
    """[records][steps] log odds of the probe."""
    surprisals: Sequence[Surprisals] | None = None
    whole: bool = True
    """Whether the steps after a first error count too."""

    def table(self, index: int) -> NDArray[np.float32]:
        """Features of a record's steps."""
        record = self.records[index]
        count = len(record.steps) if self.whole else num_labelled(record)
        solution = Solution(
            problem=record.problem,
            steps=record.steps[:count],
            reference_solution=record.reference_solution,
            reference_answer=record.reference_answer,
        )
        logits = None if self.logits is None else self.logits[index]
        return feature_table(solution, logits, None if self.surprisals is None else self.surprisals[index])


@dataclass(frozen=True, slots=True)
class Material:
    """All that the estimator is made from."""

    train: Part
    validation: Part
    calibration: Part
    evaluation: Mapping[str, Part]
    base: BaseModelRef | None = None
    head: ProbeHead | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()


def train_features(settings: FeaturesTraining, output: Path, command: str) -> dict[str, Any]:
    """Train a features judge into ``output``; unfinished work is kept in ``<output>.work``.

    Args:
        command: what the user typed, for the card.

    Returns:
        What was measured, as in the manifest.

    Raises:
        JudgeError: wrong settings or data, a missing model; the message says what.
    """
    begun = begin(settings.data, settings.evaluation, output)
    if settings.probe or settings.surprisal:
        material = read_with_model(settings, begun)
    else:
        data, evaluation = begun.data, {name: Part(records) for name, records in begun.evaluation.items()}
        material = Material(Part(data.train, whole=False), Part(data.validation), Part(data.calibration), evaluation)
    names = feature_names(probe=settings.probe, surprisal=settings.surprisal)
    estimator, importance = fit_estimator(*training_table(material.train), names, settings.estimator)
    shape = FeaturesShape(
        estimator=settings.estimator.kind,
        names=names,
        probe=material.head.shape if material.head is not None else None,
        surprisal=settings.surprisal,
    )
    head_arrays = to_arrays(material.head) if material.head is not None else {}
    trained = Trained(
        kind="features",
        settings=settings,
        base=material.base,
        head=shape.model_dump(),
        arrays=estimator.arrays() | {f"{PROBE_PREFIX}{name}": array for name, array in head_arrays.items()},
        validation=scored(estimator, material.validation),
        calibration=scored(estimator, material.calibration),
        evaluation={name: scored(estimator, part) for name, part in material.evaluation.items()},
        facts=CardFacts("A features judge", INTENDED_USE, command, material.history, WEAKNESSES),
        metrics={**material.metrics, "importance": importance},
    )
    return finish(trained, begun.data, settings.calibration, begun.output)


def read_with_model(settings: FeaturesTraining, begun: Begun) -> Material:
    """Run the language model over all records, and fit the probe."""
    work = work_folder(begun.output)
    backbone, encoder, shapes = prepare(settings, whole=settings.surprisal)
    stores = collect_stores(
        backbone,
        encoder,
        begun,
        sorted({shape.layer for shape in shapes}),
        work / "states",
        token_budget=settings.token_budget,
        max_tokens=settings.max_tokens,
        surprisal=settings.surprisal,
    )
    is_digit = digit_tokens(backbone.tokenizer)

    def part(store: Store) -> Part:
        surprisals = surprisals_of(store, encoder, is_digit) if settings.surprisal else None
        return Part(store.records, surprisals=surprisals, whole=store.whole)

    material = Material(
        part(stores.train),
        part(stores.validation),
        part(stores.calibration),
        {name: part(store) for name, store in stores.evaluation.items()},
        base=base_reference(backbone, encoder),
        metrics=stores.counts(),
    )
    return add_probe(material, settings, stores, shapes, backbone.hidden_size, work) if settings.probe else material


def add_probe(
    material: Material,
    settings: FeaturesTraining,
    stores: Stores,
    shapes: Sequence[HeadShape],
    hidden_size: int,
    work: Path,
) -> Material:
    """Fit the probe, and put its scores beside the rest."""
    heads = work / "heads"
    best, losses = best_head(stores, shapes, hidden_size, settings.head, heads)
    own = out_of_fold_scores(
        stores.train, stores.validation, best.head.shape, hidden_size, settings.head, settings.folds, heads
    )
    return replace(
        material,
        train=replace(material.train, logits=log_odds_of(own)),
        validation=replace(material.validation, logits=log_odds_of(score_records(best.head, stores.validation))),
        calibration=replace(material.calibration, logits=log_odds_of(score_records(best.head, stores.calibration))),
        evaluation={
            name: replace(part, logits=log_odds_of(score_records(best.head, stores.evaluation[name])))
            for name, part in material.evaluation.items()
        },
        head=best.head,
        metrics={**material.metrics, "validation_loss": losses},
        history=best.history,
    )


def training_table(part: Part) -> tuple[NDArray[np.float32], list[int]]:
    """Features and targets of all labelled steps; a step that several records share counts once."""
    from tqdm import tqdm

    seen: set[Prefix] = set()
    rows: list[NDArray[np.float32]] = []
    targets: list[int] = []
    for index, record in enumerate(tqdm(part.records, unit="record", desc="features", disable=None)):
        fresh = [step for step in range(num_labelled(record)) if prefix(record, step) not in seen]
        if not fresh or record.label is None:
            continue
        seen.update(prefix(record, step) for step in fresh)
        rows.append(part.table(index)[fresh])
        targets.extend(int(step == record.label) for step in fresh)
    return np.concatenate(rows), targets


def fit_estimator(
    rows: NDArray[np.float32], targets: Sequence[int], names: Sequence[str], settings: EstimatorTraining
) -> tuple[Estimator, dict[str, float]]:
    """Fit, and say how much each feature matters.

    Returns:
        The estimator, and the share of each feature: of the trees' gain, or of the sum of absolute weights; largest
        first.

    Raises:
        DataError: when the steps are all right or all wrong.
    """
    if len(set(targets)) < 2:
        raise DataError("the training steps are all right or all wrong; a judge needs both")
    if settings.kind == "boosting":
        from sklearn.ensemble import GradientBoostingClassifier

        model = GradientBoostingClassifier(
            n_estimators=settings.num_trees,
            max_depth=settings.depth,
            learning_rate=settings.learning_rate,
            subsample=settings.subsample,
            min_samples_leaf=settings.min_steps_per_leaf,
            random_state=settings.seed,
        ).fit(rows, targets)
        weights, estimator = model.feature_importances_, cast(Estimator, from_boosting(model))
    else:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(rows)
        logistic = LogisticRegression(C=settings.strength, max_iter=2000).fit(scaler.transform(rows), targets)
        weights, estimator = np.abs(logistic.coef_[0]), from_logistic(scaler, logistic)
    shares = zip(names, (weights / max(weights.sum(), 1e-12)).tolist(), strict=True)
    return estimator, dict(sorted(shares, key=lambda pair: -pair[1]))


def scored(estimator: Estimator, part: Part) -> Scored:
    """Raw hazards of every record."""
    scores = []
    for index in range(len(part.records)):
        odds = log_odds(estimator, part.table(index))
        scores.append(tuple(map(float, 1 / (1 + np.exp(-odds)))))
    return Scored(part.records, scores)


def surprisals_of(store: Store, encoder: StepEncoder, is_digit: NDArray[np.bool_]) -> list[Surprisals]:
    """Surprisals of every record's steps, put together again from the steps that records share."""
    nats: dict[Prefix, NDArray[np.float32]] = {}
    for shard in store.shards():
        parts = shard.surprisals.split(list(shard.lengths))
        for index, step, part in zip(shard.records, shard.steps, parts, strict=True):
            nats[prefix(store.records[index], step)] = part.numpy()
    found = []
    for record in store.records:
        encoded = encoder.encode(record.problem, record.steps[: store.num_steps(record)])
        steps = [nats[prefix(record, step)] for step in range(store.num_steps(record))]
        digits = is_digit[list(encoded.response_ids)]
        found.append(Surprisals(np.concatenate(steps), digits, [len(step) for step in encoded.step_ids]))
    return found


def log_odds_of(scores: Sequence[Sequence[float]]) -> list[list[float]]:
    """Probabilities as log odds."""
    return [[logit(prob) for prob in probs] for probs in scores]
