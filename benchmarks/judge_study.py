"""What helps a small judge: layers, readouts, groups of features, sources. The tables of docs/results/judges.md.

    sgpo-judge train features --config configs/judge-features.toml --output runs/judges/features
    python benchmarks/judge_study.py --config configs/judge-features.toml --judge runs/judges/features

Fits every variant on the states that the training kept beside its output, and measures it on the configuration's
evaluation sets. Prints Markdown. AUC: of the steps up to the first error, wrong against right; in brackets 95%
bootstrap intervals over problems.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from judge.backbone import Backbone
from judge.data.shared_steps import num_labelled
from judge.encoding import StepEncoder
from judge.features.matrix import feature_names
from judge.judge_folder import Manifest, read_manifest
from judge.judges.features import digit_tokens
from judge.probe_head import HeadShape
from judge.settings import parse_table, read_toml
from judge.train.begin import begin
from judge.train.calibrate import step_targets
from judge.train.cross_fit import out_of_fold_scores
from judge.train.features import (
    EstimatorTraining,
    FeaturesTraining,
    Part,
    fit_estimator,
    log_odds_of,
    scored,
    surprisals_of,
    training_table,
)
from judge.train.head import score_records
from judge.train.head_file import fit_once
from judge.train.probe import prepare, work_folder
from judge.train.states import Store
from judge.train.stores import Stores, collect_stores
from judge.types import Record

MAX_TOKENS = 4096
"""Longer evaluation rows are left out, as the judges do."""
GROUPS: Mapping[str, tuple[bool, bool]] = {
    "text": (False, False),
    "text, surprisals": (False, True),
    "text, probe": (True, False),
    "text, probe, surprisals": (True, True),
}
"""Which columns a table of features has: those of a probe, of surprisals."""

Scores = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Study:
    """All that the variants are fitted on and measured with."""

    settings: FeaturesTraining
    backbone: Backbone
    encoder: StepEncoder
    shapes: Sequence[HeadShape]
    stores: Stores
    folder: Path
    """The features judge."""
    heads: Path
    """Where fitted heads are kept."""

    @property
    def rows(self) -> Mapping[str, Store]:
        """The evaluation sets."""
        return self.stores.evaluation


def main() -> None:
    """Read, fit, print."""
    options = parse_options()
    study = set_up(options)
    chosen = chosen_shape(read_manifest(options.judge, "features"))
    layer_table(study)
    group_table(study, chosen)
    mixture_table(study)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True, help="the features judge that was trained with it")
    return parser.parse_args()


def set_up(options: argparse.Namespace) -> Study:
    """Load data and model; read all states."""
    settings = parse_table(FeaturesTraining, read_toml(options.config), str(options.config))
    begun = begin(settings.data, settings.evaluation, options.judge)
    backbone, encoder, shapes = prepare(settings, whole=settings.surprisal)
    work = work_folder(begun.output)
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
    return Study(settings, backbone, encoder, shapes, stores, begun.output, work / "heads")


def chosen_shape(manifest: Manifest) -> HeadShape:
    """The probe inside a features judge."""
    return HeadShape.model_validate(manifest.head["probe"])


def layer_table(study: Study) -> None:
    """A probe for every layer and readout."""
    print(f"\n## Layer and readout: step AUC on {', '.join(study.rows)}\n")
    print("| layer, readout | validation loss |" + "".join(f" {name} |" for name in study.rows))
    print("|---|---|" + "---|" * len(study.rows))
    for shape in study.shapes:
        fitted = fit_once(
            study.stores.train,
            study.stores.validation,
            shape,
            study.backbone.hidden_size,
            study.settings.head,
            study.heads,
        )
        cells = [auc(store.records, score_records(fitted.head, store)) for store in study.rows.values()]
        print(f"| {shape.layer}, {shape.readout} | {fitted.validation_loss:.3f} | {' | '.join(cells)} |", flush=True)


def group_table(study: Study, shape: HeadShape) -> None:
    """An estimator for every group of features, boosted trees and logistic regression."""
    print("\n## Groups of features: step AUC\n")
    print(
        "| features | " + " | ".join(f"{kind}, {name}" for kind in ("trees", "logistic") for name in study.rows) + " |"
    )
    print("|---|" + "---|" * (2 * len(study.rows)))
    parts = all_parts(study, shape)
    for group, (probe, surprisal) in GROUPS.items():
        cells = []
        for kind in ("boosting", "logistic"):
            training = study.settings.estimator.model_copy(update={"kind": kind})
            cells += variant(parts, training, probe=probe, surprisal=surprisal)
        print(f"| {group} | {' | '.join(cells)} |", flush=True)


def mixture_table(study: Study) -> None:
    """Trees on text and surprisals (no probe: it saw all sources), with one source left out."""
    print("\n## Sources: step AUC of trees on text and surprisals\n")
    print("| without | steps | " + " | ".join(study.rows) + " |")
    print("|---|---|" + "---|" * len(study.rows))
    parts = all_parts(study, None)
    sources = sorted({record.source.split(":")[0] for record in study.stores.train.records})
    for left_out in ("nothing", *sources):
        train = without_source(parts["train"], left_out)
        cells = variant({**parts, "train": train}, study.settings.estimator, probe=False, surprisal=True)
        steps = sum(num_labelled(record) for record in train.records)
        print(f"| {left_out} | {steps} | {' | '.join(cells)} |", flush=True)


def all_parts(study: Study, shape: HeadShape | None) -> dict[str, Part]:
    """Training and evaluation records with what the model says of them; with a probe's scores where one is given."""
    is_digit = digit_tokens(study.backbone.tokenizer)
    stores = {"train": study.stores.train, **study.rows}
    parts = {
        name: Part(store.records, surprisals=surprisals_of(store, study.encoder, is_digit), whole=store.whole)
        for name, store in stores.items()
    }
    if shape is None:
        return parts
    arguments = (shape, study.backbone.hidden_size, study.settings.head)
    train, validation, heads = study.stores.train, study.stores.validation, study.heads
    own = out_of_fold_scores(train, validation, *arguments, study.settings.folds, heads)
    head = fit_once(train, validation, *arguments, heads).head
    logits = {"train": own} | {name: score_records(head, store) for name, store in study.rows.items()}
    return {name: replace(part, logits=log_odds_of(logits[name])) for name, part in parts.items()}


def variant(parts: Mapping[str, Part], training: EstimatorTraining, *, probe: bool, surprisal: bool) -> list[str]:
    """AUC on every evaluation set of an estimator on some of the features."""

    def chosen(part: Part) -> Part:
        return replace(part, logits=part.logits if probe else None, surprisals=part.surprisals if surprisal else None)

    names = feature_names(probe=probe, surprisal=surprisal)
    estimator, _ = fit_estimator(*training_table(chosen(parts["train"])), names, training)
    tests = [chosen(part) for name, part in parts.items() if name != "train"]
    return [auc(part.records, scored(estimator, part).scores) for part in tests]


def without_source(part: Part, source: str) -> Part:
    """The records of the other sources."""
    keep = [index for index, record in enumerate(part.records) if record.source.split(":")[0] != source]
    surprisals = part.surprisals or ()
    return replace(part, records=[part.records[i] for i in keep], surprisals=[surprisals[i] for i in keep])


def auc(records: Sequence[Record], scores: Scores) -> str:
    """Area under the ROC curve of the steps up to the first error, with its interval."""
    from sklearn.metrics import roc_auc_score

    def measure(chosen: Sequence[int]) -> float:
        flat, targets = step_targets([scores[i] for i in chosen], [label(records[i]) for i in chosen])
        return float(roc_auc_score(targets, flat))

    return interval([record.problem for record in records], measure)


def label(record: Record) -> int:
    """The label of an evaluation row."""
    assert record.label is not None
    return record.label


def interval(problems: Sequence[str], measure: Callable[[Sequence[int]], float], draws: int = 200) -> str:
    """A measure of rows, and its bootstrap interval over problems."""
    groups: dict[str, list[int]] = {}
    for index, problem in enumerate(problems):
        groups.setdefault(problem, []).append(index)
    members = list(groups.values())
    rng = np.random.default_rng(0)
    picks: NDArray[np.int64] = rng.integers(0, len(members), (draws, len(members)))
    values = [measure([index for group in pick for index in members[group]]) for pick in picks]
    low, high = np.quantile(values, [0.025, 0.975])
    return f"{measure(range(len(problems))):.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
