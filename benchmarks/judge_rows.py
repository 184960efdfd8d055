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
import json
from collections.abc import Mapping, Sequence
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
from judge.probe_head import ProbeHead
from judge.probe_head import from_arrays as head_from_arrays
from judge.records import write_records
from judge.registry import build_judge
from judge.train.calibrate import fit_decoding
from judge.train.features import Part, log_odds_of, scored, surprisals_of
from judge.train.head import score_records
from judge.train.states import Store
from judge.types import Record, Solution

MAX_STEPS = 256
COLUMNS = ("f1", "error_acc", "correct_acc", "coverage")

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
    for name, store in study.rows.items():
        path = options.output / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_records(store.records, path)
        for row, judge in judges(study, options.judge, store).items():
            output = options.output / f"{name}-{row}"
            facts = {"command": "benchmarks/judge_rows.py"}
            summary = run(judge, read_data_file(path), EvalOptions("records", output), facts)
            print(f"| {name} | {row} | {cells(summary)} |", flush=True)
            if isinstance(judge, CascadeJudge):
                print(judge.summary())


def judges(study: Study, folder: Path, store: Store) -> Mapping[str, Judge]:
    """The judges of the table, for the records of one store."""
    manifest, arrays = read_manifest(folder, "features"), read_arrays(folder)
    shape = FeaturesShape.model_validate(manifest.head)
    assert shape.probe is not None
    probe_arrays = {
        name.removeprefix(PROBE_PREFIX): array for name, array in arrays.items() if name.startswith(PROBE_PREFIX)
    }
    probe = head_from_arrays(shape.probe, probe_arrays)
    logits = log_odds_of(score_records(probe, store))
    part = Part(store.records, logits, surprisals_of(store, study.encoder, digit_tokens(study.backbone.tokenizer)))
    scores = scored(estimator_from_arrays(shape.estimator, arrays), part).scores

    def features() -> Judge:
        return stored("features", store.records, scores, manifest.decoding)

    return {
        "rules": rules(),
        "probe": stored("probe", store.records, score_records(probe, store), probe_decoding(study, probe)),
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


def probe_decoding(study: Study, probe: ProbeHead) -> Decoding:
    """Calibration and threshold of the probe alone, fitted where those of the features judge were."""
    calibration = study.stores.calibration
    labels = [record.label for record in calibration.records if record.label is not None]
    return fit_decoding(score_records(probe, calibration), labels, study.settings.calibration)[0]


def stored(name: str, records: Sequence[Record], scores: Sequence[Sequence[float]], decoding: Decoding) -> Judge:
    """A judge from scores."""
    return HazardJudge(StoredScorer(records, scores), decoding, f"{name} from stored states", MAX_STEPS)


def cells(summary: Mapping[str, Any]) -> str:
    """The figures of one run that are printed; the others stand in its summary.json."""
    return " | ".join(f"{key} {json.dumps(summary[key])}" for key in COLUMNS)


if __name__ == "__main__":
    main()
