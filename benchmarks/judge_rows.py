"""Evaluation runs of several judges from one reading of the rows: the main table of docs/results/judges.md.

    sgpo-judge train features --config configs/judge-features.toml --output runs/judges/features
    python benchmarks/judge_rows.py --config configs/judge-features.toml --judge runs/judges/features --output runs/rows
    sgpo-eval report runs/rows/* --output runs/rows.html

A judge that reads hidden states spends nearly all its time on reading them. Here the rules, the features judge, the
probe inside it and a cascade answer from the states that the training kept of its evaluation sets; everything after
the scores is what `sgpo-eval run` does, and writes. Prints Markdown. Check: `sgpo-eval run --benchmark records --path
runs/rows/SET.jsonl --judge runs/judges/features --limit 50 --output DIR` gives the same predictions.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from judge_study import Study, set_up

from eval.benchmarks.data_file import read_data_file
from eval.runner import EvalOptions, run
from judge.calibration import Decoding
from judge.features.estimators import from_arrays as estimator_from_arrays
from judge.judge_folder import read_arrays, read_manifest
from judge.judges.base import Judge
from judge.judges.cascade import CascadeJudge, Stage, StageSettings
from judge.judges.features import PROBE_PREFIX, FeaturesShape, digit_tokens
from judge.judges.hazards import HazardJudge, Refused, Scores
from judge.probe_head import from_arrays as head_from_arrays
from judge.records import write_records
from judge.registry import build_judge
from judge.train.calibrate import fit_decoding
from judge.train.features import Part, log_odds_of, scored, surprisals_of
from judge.train.head import score_records
from judge.train.states import Store
from judge.types import Record, Solution

HELD_OUT = "mrben"
MAX_STEPS = 256
COLD = ("f1", "error_acc", "correct_acc", "step_auroc")
KNOWN_WRONG = ("error_acc", "known_wrong_rts_mae", "expected_rts_mae", "median_rts_mae")

Key = tuple[str, tuple[str, ...]]


class StoredScorer:
    """Knows the scores of its solutions already."""

    def __init__(self, records: Sequence[Record], scores: Sequence[Sequence[float]]) -> None:
        self._scores: dict[Key, tuple[float, ...]] = {
            (record.problem, record.steps): tuple(row) for record, row in zip(records, scores, strict=True)
        }

    def score(self, batch: Sequence[Solution]) -> list[Scores | Refused]:
        """One result per solution, in order."""
        return [Scores(self._scores[solution.problem, solution.steps]) for solution in batch]


def main() -> None:
    """Judge every evaluation set with every judge, print their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True, help="the features judge that was trained with it")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    study = set_up(options)
    calibration = scores_of(study, study.folder, study.stores.calibration)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, store in study.rows.items():
        read = scores_of(study, study.folder, store)
        for known_wrong in (False, True):
            table(study, read, calibration, options.output / f"{name}.jsonl", known_wrong=known_wrong)
    # Several wrong solutions to a problem: Mr-Ben's, of problems that neither the trees nor the probe's weights saw.
    parts = [scores_of(study, study.folder, store) for store in (study.stores.validation, study.stores.calibration)]
    held_out = Read.joined(parts).only(HELD_OUT)
    table(study, held_out, calibration, options.output / f"{HELD_OUT}-held-out.jsonl", known_wrong=True)


@dataclass(frozen=True)
class Read:
    """Records, and the raw hazards of their steps."""

    records: Sequence[Record]
    probe: Sequence[Sequence[float]]
    features: Sequence[Sequence[float]]

    @staticmethod
    def joined(parts: Sequence[Read]) -> Read:
        """One after the other."""
        records, probe, features = (
            [row for part in parts for row in getattr(part, field.name)] for field in fields(Read)
        )
        return Read(records, probe, features)

    def only(self, source: str) -> Read:
        """The records of one source."""
        keep = [index for index, record in enumerate(self.records) if record.source == source]
        return Read(*([getattr(self, field.name)[index] for index in keep] for field in fields(Read)))


def scores_of(study: Study, folder: Path, store: Store) -> Read:
    """What a features judge and the probe inside it say of a store's records."""
    manifest, arrays = read_manifest(folder, "features"), read_arrays(folder)
    shape = FeaturesShape.model_validate(manifest.head)
    assert shape.probe is not None
    probe = head_from_arrays(
        shape.probe,
        {name.removeprefix(PROBE_PREFIX): array for name, array in arrays.items() if name.startswith(PROBE_PREFIX)},
    )
    hazards = score_records(probe, store)
    surprisals = surprisals_of(store, study.encoder, digit_tokens(study.backbone.tokenizer))
    part = Part(store.records, log_odds_of(hazards), surprisals)
    return Read(store.records, hazards, scored(estimator_from_arrays(shape.estimator, arrays), part).scores)


def table(study: Study, read: Read, calibration: Read, path: Path, *, known_wrong: bool) -> None:
    """Judge one set with every judge, and print a row for each."""
    write_records(read.records, path)
    names = KNOWN_WRONG if known_wrong else COLD
    print(
        f"\n{path.stem}{', known wrong' if known_wrong else ''}\n\n| judge | unscored | {' | '.join(names)} | tau_b |"
    )
    print("|---|---|" + "---|" * (len(names) + 1))
    for row, judge in judges(study, read, calibration).items():
        output = path.with_name(f"{path.stem}-{row}{'-known-wrong' if known_wrong else ''}")
        evaluation = EvalOptions("records", output, known_wrong=known_wrong)
        summary = run(judge, read_data_file(path), evaluation, {"command": "benchmarks/judge_rows.py"})
        fidelity = (summary["fidelity"] or {}) if known_wrong else {}
        figures = [figure(summary, name) for name in names] + [figure(fidelity.get("figures", {}), "tau_b", fidelity)]
        print(f"| {row} | {summary['num_unscored']} of {summary['num_rows']} | {' | '.join(figures)} |", flush=True)
        if isinstance(judge, CascadeJudge):
            print(f"\n{judge.summary()}")


def judges(study: Study, read: Read, calibration: Read) -> Mapping[str, Judge]:
    """The judges of the table, for the records of ``read``; the probe's threshold is fitted on ``calibration``."""
    labels = [record.label for record in calibration.records if record.label is not None]
    probe_decoding, _ = fit_decoding(calibration.probe, labels, study.settings.calibration)
    decoding = read_manifest(study.folder, "features").decoding

    def features() -> Judge:
        return stored("features", read.records, read.features, decoding)

    return {
        "rules": rules(),
        "probe": stored("probe", read.records, read.probe, probe_decoding),
        "features": features(),
        "cascade": CascadeJudge(
            [
                Stage(rules(), "rules", StageSettings(trust_without_confidence=True)),
                Stage(features(), "features", StageSettings()),
            ]
        ),
    }


def rules() -> Judge:
    """The rules judge."""
    return build_judge({"kind": "rules"})


def stored(name: str, records: Sequence[Record], scores: Sequence[Sequence[float]], decoding: Decoding) -> Judge:
    """A judge from scores."""
    return HazardJudge(StoredScorer(records, scores), decoding, f"{name} from stored states", MAX_STEPS)


def figure(figures: Mapping[str, Any], name: str, around: Mapping[str, Any] | None = None) -> str:
    """A figure and its interval."""
    value, interval = figures.get(name), (around or figures).get("intervals", {}).get(name)
    if value is None:
        return "-"
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})" if interval else f"{value:.3f}"


if __name__ == "__main__":
    main()
