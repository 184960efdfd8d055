"""The model card of a trained judge: Markdown, and pictures of what its numbers look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from judge.calibration import Decoding
from judge.judge_folder import Manifest
from judge.train.calibrate import Curve, f1_curve, step_targets

RELIABILITY: Final = "reliability.png"
F1_CURVE: Final = "f1_threshold.png"
TRAINING_CURVE: Final = "training.png"


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card tells beyond the manifest."""

    title: str
    intended_use: str
    command: str
    """The command that made the judge."""
    history: Sequence[Mapping[str, Any]] = ()
    """Rows with ``step`` and any of ``loss``, ``validation_loss``, ``validation_f1`` ... in the order of training."""
    weaknesses: Sequence[str] = ()
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """More numbers: a heading, and its rows."""


def write_card(manifest: Manifest, facts: CardFacts, data_report: Mapping[str, Any]) -> str:
    """The card as Markdown; the pictures stand beside it (see `draw_pictures`).

    Args:
        data_report: what became of the training data (`TrainingSet.report`).
    """
    base = manifest.base
    base_name = f"{base.name} (weights {base.fingerprint}, tokenizer {base.tokenizer_digest})" if base else "none"
    lines = [
        f"# {facts.title}",
        "",
        facts.intended_use,
        "",
        "| | |",
        "|---|---|",
        f"| kind | {manifest.kind} |",
        f"| base model | {base_name} |",
        f"| segmenter | {manifest.segmenter} |",
        f"| training data | digest {manifest.data_digest} |",
        f"| decoding of unknown outcomes | {manifest.decoding.rule} {manifest.decoding.threshold:.4g} |",
        f"| calibration | {manifest.decoding.calibration.method} |",
        "",
        "Made by:",
        "",
        f"    {facts.command}",
        "",
    ]
    for heading, table in {
        "Metrics": manifest.metrics,
        "Training data": data_table(data_report),
        **facts.tables,
    }.items():
        lines += [f"## {heading}", "", "| | |", "|---|---|"]
        lines += [f"| {key} | {_cell(value)} |" for key, value in _flat(table)]
        lines.append("")
    lines += ["## Pictures", ""]
    lines += [f"![{name}]({name})" for name in _pictures(facts)]
    if facts.weaknesses:
        lines += ["", "## Known weaknesses", "", *(f"- {weakness}" for weakness in facts.weaknesses)]
    return "\n".join(lines) + "\n"


def data_table(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report of the training data with a name for every source in place of a list."""
    sources = {f"source {number}": source for number, source in enumerate(report["sources"], start=1)}
    return {**sources, **{key: value for key, value in report.items() if key != "sources"}}


def draw_pictures(
    folder: Path, scores: Sequence[Sequence[float]], labels: Sequence[int], decoding: Decoding, facts: CardFacts
) -> None:
    """Draw the reliability diagram, the F1-against-threshold curve, and the curves of training.

    Args:
        scores: [solutions][steps] raw hazards of rows that were not trained on.
        labels: their 0-based first errors, -1 for none.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    flat, targets = step_targets(scores, labels)
    _reliability(folder / RELIABILITY, flat, targets, decoding)
    curves = [f1_curve(scores, labels, decoding.model_copy(update={"rule": r})) for r in ("first_above", "any_error")]
    _f1(folder / F1_CURVE, curves, decoding)
    if facts.history:
        draw_training(folder / TRAINING_CURVE, facts.history)


def reliability_bins(
    probs: Sequence[float], targets: Sequence[int], num_bins: int = 10
) -> list[tuple[float, float, int]]:
    """Mean probability, share of wrong steps and size of bins that hold equally many steps."""
    import numpy as np

    order = np.argsort(np.asarray(probs), kind="stable")
    parts = [part for part in np.array_split(order, num_bins) if len(part)]
    p, t = np.asarray(probs, float), np.asarray(targets, float)
    return [(float(p[part].mean()), float(t[part].mean()), len(part)) for part in parts]


def _reliability(path: Path, flat: Sequence[float], targets: Sequence[int], decoding: Decoding) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="ideal")
    calibrated = [decoding.calibration.apply(prob) for prob in flat]
    for name, probs in (("raw", flat), ("calibrated", calibrated)):
        bins = reliability_bins(probs, targets)
        axes.plot([x for x, _, _ in bins], [y for _, y, _ in bins], marker="o", label=name)
    axes.set(xlabel="P(step is wrong), mean of a tenth of the steps", ylabel="share of wrong steps")
    axes.set_title(f"Reliability ({len(flat)} steps)")
    axes.legend()
    figure.savefig(path, dpi=110)


def _f1(path: Path, curves: Sequence[Curve], decoding: Decoding) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        axes.plot(curve.thresholds, curve.f1, label=f"F1, {curve.rule}")
        if curve.rule == decoding.rule:
            axes.plot(curve.thresholds, curve.error_acc, linestyle=":", label="error accuracy")
            axes.plot(curve.thresholds, curve.correct_acc, linestyle="--", label="correct accuracy")
    axes.axvline(decoding.threshold, color="0.6", label=f"threshold {decoding.threshold:.3g}")
    axes.set(xlabel="threshold", ylabel="share of solutions", title="F1 against threshold")
    axes.legend()
    figure.savefig(path, dpi=110)


def draw_training(path: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Draw every number of the history against the updates so far."""
    from matplotlib.figure import Figure

    names = sorted({key for row in history for key, value in row.items() if isinstance(value, float)} - {"step"})
    figure = Figure(figsize=(6.5, 2.6 * len(names)), layout="constrained")
    for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
        points = [(row["step"], row[name]) for row in history if name in row]
        axes.plot([x for x, _ in points], [y for _, y in points], marker="." if len(points) < 50 else "")
        axes.set(xlabel="step", ylabel=name.replace("_", " "))
    figure.savefig(path, dpi=110)


def _pictures(facts: CardFacts) -> list[str]:
    return [RELIABILITY, F1_CURVE, *([TRAINING_CURVE] if facts.history else [])]


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}: ")
        else:
            rows.append((f"{prefix}{key}", value))
    return rows


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
