"""Everything that is known of a scored benchmark, as one dictionary with plain keys (``summary.json``).

Shares are in [0, 1] and in full precision; None where no row bears on a figure. docs/evaluation.md explains each key.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from eval.benchmarks.example import Benchmark, Example
from eval.judged import judged_rows
from eval.log import LogRow
from eval.metrics import Sampling, confusion, measure
from eval.mr_score import needs_grade
from eval.step_metrics import reliability, usable_steps
from eval.thresholds import threshold_figures

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a log is scored."""

    sampling: Sampling = field(default_factory=Sampling)
    step_threshold: float = 0.5
    """A step whose error probability is above it counts as called wrong (PRMScore only), in [0, 1]."""
    reasons: Mapping[str, bool] = field(default_factory=dict)
    """By id, whether the judge's reason for the error was graded as right."""


def summarise(
    benchmark: Benchmark,
    examples: Sequence[Example],
    log: Mapping[str, LogRow],
    scoring: Scoring,
    facts: Mapping[str, object],
    subsets: Collection[str] = (),
) -> dict[str, Any]:
    """The summary of the examples, each of which has a row in the log.

    Args:
        examples: at least one.
        log: by id.
        facts: what cannot be seen in the log: benchmark, path, digest, judge, version, command.
        subsets: those of the whole data; a mean over subsets is None when the examples lack one of them.
    """
    rows = [log[example.id] for example in examples]
    judged = judged_rows(examples, log, scoring.reasons, scoring.step_threshold)
    averaged = benchmark.averaged if {example.subset for example in examples} >= set(subsets) else ()
    measured = measure(judged, benchmark.families, benchmark.headline, averaged, scoring.sampling)
    whole = {f"mean_{name}": None for name in benchmark.averaged} | measured.whole
    ungraded = [row.id for row, found in zip(rows, judged, strict=True) if needs_grade(found)]
    needs = _missing_grades(ungraded) if scoring.reasons and ungraded else None
    missing = {name: needs or why for name, why in benchmark.missing_parts.items() if whole.get(name) is None}
    return {
        **{name: value for name, value in whole.items() if name not in ("intervals", "baselines")},
        "num_failed": sum(row.failed for row in rows),
        "unscored": dict(sorted(Counter(row.reason.value for row in rows if row.reason is not None).items())),
        "num_blank_steps": sum(row.blank_step for row in rows),
        "num_ungraded": len(ungraded) if "mr" in benchmark.families else None,
        "headline": list(benchmark.headline) + [f"mean_{name}" for name in benchmark.averaged],
        "missing_parts": missing,
        "intervals": whole["intervals"],
        "baselines": whole["baselines"],
        "by_subset": measured.by_subset,
        "by_length": measured.by_length,
        "confusion": confusion(judged),
        "reliability": reliability(usable_steps(judged)),
        "thresholds": threshold_figures(judged, scoring.sampling.seed),
        "fidelity": _fidelity(examples, log, scoring.sampling) if benchmark.whole_solutions else None,
        "step_threshold": scoring.step_threshold,
        "bootstrap": asdict(scoring.sampling) | {"clusters": measured.num_clusters},
        "seed": scoring.sampling.seed,
        **_cost(rows),
        **facts,
    }


def _missing_grades(ids: Sequence[str]) -> str:
    shown = ", ".join(map(repr, ids[:3])) + (", ..." if len(ids) > 3 else "")
    return f"the file of --reasons has no grade for {len(ids)} of the errors that the judge located ({shown})"


def _cost(rows: Sequence[LogRow]) -> dict[str, Any]:
    return {
        "seconds": sum(row.seconds for row in rows),
        "usage": {
            "prompt_tokens": sum(row.prompt_tokens for row in rows),
            "completion_tokens": sum(row.completion_tokens for row in rows),
            "calls": sum(row.calls for row in rows),
        },
    }


def _fidelity(examples: Sequence[Example], log: Mapping[str, LogRow], sampling: Sampling) -> dict[str, Any] | None:
    """How much of the SGPO signal survives the judge, over the wrong solutions; None when there are none."""
    from eval.fidelity import FidelitySettings, fidelity_cases, measure_fidelity

    cases = fidelity_cases(examples, {name: _within_steps(row) for name, row in log.items()})
    if not cases or sampling.num_samples == 0:
        return None
    settings = FidelitySettings(num_resamples=sampling.num_samples, confidence=sampling.level)
    return measure_fidelity(cases, settings, sampling.seed)


def _within_steps(row: LogRow) -> LogRow:
    """A step that is not there gives no reward: the row counts as unscored."""
    if row.prediction is None or row.prediction < row.num_steps:
        return row
    return row.model_copy(update={"prediction": None})
