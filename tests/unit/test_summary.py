"""The summary: every key by value on a small log, known baselines on real data, and the same numbers each time."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest

from eval.benchmarks.base import get_benchmark, read_data_file
from eval.benchmarks.example import Example
from eval.judged import JudgedRow
from eval.log import LogRow
from eval.metrics import LENGTHS, Sampling, confusion, length_name, measure
from eval.summary import Scoring, summarise
from judge.measures import first_error_metrics
from judge.types import UnscoredReason

FEW = Scoring(sampling=Sampling(num_samples=50, seed=3))


def make_log(examples: list[Example], seed: int = 0) -> dict[str, LogRow]:
    """A judge that is often right, sometimes silent, and gives probabilities."""
    rng = random.Random(seed)
    log = {}
    for example in examples:
        n, label = len(example.steps), example.label
        assert label is not None
        said = rng.choice([label, label, -1, rng.randrange(n), None])
        probs = tuple(min(rng.betavariate(1, 5) + (0.3 if step == label else 0.0), 1.0) for step in range(n))
        log[example.id] = LogRow(
            id=example.id,
            label=label,
            prediction=said,
            reason=UnscoredReason.PARSE_ERROR if said is None else None,
            num_steps=n,
            step_error_probs=None if said is None else probs,
            calls=1,
            seconds=0.5,
        )
    return log


def make_examples(subsets: dict[str, int]) -> list[Example]:
    return [
        Example(f"p{number // 2}", ("a", "b", "c"), number % 4 - 1, id=f"{name}-{number}", subset=name,
                cluster=f"{name}{number // 2}", final_answer_correct=number % 4 == 0)
        for name, size in subsets.items()
        for number in range(size)
    ]  # fmt: skip


def test_values_of_a_small_log() -> None:
    examples = make_examples({"x": 40, "y": 20})
    log = make_log(examples)
    summary = summarise(get_benchmark("processbench"), examples, log, FEW, {"judge_id": "j"})
    for part, members in {None: examples, "x": examples[:40], "y": examples[40:]}.items():
        found = summary if part is None else summary["by_subset"][part]
        labels, said = zip(*((log[example.id].label, log[example.id].prediction) for example in members), strict=True)
        expected = first_error_metrics(labels, said)
        assert {name: found[name] for name in expected._fields} == expected._asdict()
        for name in ("error_acc", "correct_acc", "f1", "step_auroc", "step_ap", "known_wrong_acc", "coverage"):
            low, high = found["intervals"][name]
            assert low <= found[name] <= high
    mean = (summary["by_subset"]["x"]["f1"] + summary["by_subset"]["y"]["f1"]) / 2
    assert summary["mean_f1"] == pytest.approx(mean)
    assert summary["intervals"]["mean_f1"][0] < mean < summary["intervals"]["mean_f1"][1]
    assert summary["headline"] == ["f1", "error_acc", "correct_acc", "mean_f1"]
    assert list(summary["by_length"]) == ["1-3"]
    assert sum(count for said in summary["confusion"].values() for count in said.values()) == 60
    assert summary["unscored"] == {"parse_error": summary["num_unscored"]}
    assert summary["coverage"] == 1 - summary["num_unscored"] / 60
    assert (summary["seconds"], summary["usage"]["calls"]) == (30.0, 60)
    assert summary["bootstrap"] == {"num_samples": 50, "seed": 3, "level": 0.95, "clusters": 30}
    assert (summary["judge_id"], summary["num_failed"], summary["num_out_of_range"]) == ("j", 0, 0)
    assert summary["fidelity"] is not None


def test_it_is_json_and_the_same_every_time() -> None:
    examples = make_examples({"x": 30})
    log = make_log(examples)
    once, again = (summarise(get_benchmark("mr_gsm8k"), examples, log, FEW, {}) for _ in range(2))
    assert json.dumps(once, allow_nan=False) == json.dumps(again, allow_nan=False)
    other = Scoring(sampling=Sampling(num_samples=50, seed=4))
    moved = summarise(get_benchmark("mr_gsm8k"), examples, log, other, {})
    assert moved["f1"] == once["f1"]
    assert moved["intervals"]["f1"] != once["intervals"]["f1"]


@pytest.mark.parametrize("name", ["processbench", "mr_gsm8k", "prmbench", "big_bench_mistake", "prm800k", "records"])
@pytest.mark.parametrize("label", [-1, 1])
def test_one_row_of_one_kind(name: str, label: int) -> None:
    examples = [Example("p", ("a", "b"), label, id="a", cluster="c", wrong_steps=(1,) if label == 1 else ())]
    log = {"a": LogRow(id="a", label=label, prediction=None, num_steps=2, reason=UnscoredReason.NO_EVIDENCE)}
    summary = summarise(get_benchmark(name), examples, log, FEW, {})
    assert summary["f1"] is None
    assert set(summary["intervals"].values()) == {None}
    json.dumps(summary, allow_nan=False)
    assert all(figure in summary for figure in summary["headline"])


def test_no_intervals_are_asked_for() -> None:
    examples = make_examples({"x": 20})
    scoring = Scoring(sampling=Sampling(num_samples=0))
    summary = summarise(get_benchmark("processbench"), examples, make_log(examples), scoring, {})
    assert set(summary["intervals"].values()) == {None}


def test_known_baselines_of_real_data(data_dir: Path) -> None:
    """Measured before by other code: 19.8 and 18.4; the best constant index 29 and 25 percent."""
    examples = get_benchmark("processbench").load(read_data_file(data_dir / "processbench"))
    rows = [JudgedRow(item.cluster, item.label or 0, len(item.steps), -1, subset=item.subset) for item in examples]
    measured = measure(rows, sampling=Sampling(num_samples=0))
    found = {name: part["baselines"] for name, part in measured.by_subset.items()}
    assert {name: round(part["random_flag"]["f1"], 3) for name, part in found.items()} == {
        "gsm8k": 0.198,
        "math": 0.184,
    }
    assert {name: round(part["constant_index"]["error_acc"], 2) for name, part in found.items()} == {
        "gsm8k": 0.29,
        "math": 0.25,
    }
    assert measured.whole["correct_acc"] == 1.0
    assert measured.whole["f1"] == measured.whole["baselines"]["always_correct"]["f1"] == 0.0


def test_reasons_complete_the_mr_score() -> None:
    examples = make_examples({"x": 12})
    log = {item.id: LogRow(id=item.id, label=item.label or 0, prediction=item.label, num_steps=3) for item in examples}
    benchmark = get_benchmark("mrben")
    without = summarise(benchmark, examples, log, FEW, {})
    assert (without["mr_score"], without["reason_acc"]) == (None, None)
    assert set(without["missing_parts"]) == {"mr_score", "reason_acc"}
    assert without["mr_score_without_reason"] == pytest.approx(0.5)
    graded = {item.id: number % 2 == 0 for number, item in enumerate(examples)}
    scoring = Scoring(sampling=FEW.sampling, reasons=graded)
    found = summarise(benchmark, examples, log, scoring, {})
    right = sum(graded[item.id] for item in examples if item.label != -1) / 9
    assert (found["reason_acc"], found["missing_parts"]) == (pytest.approx(right), {})
    assert found["mr_score"] == found["mean_mr_score"] == pytest.approx(0.5 + 0.5 * right)


def test_missing_grades_are_counted_and_named() -> None:
    examples = make_examples({"x": 12, "y": 4})
    log = {item.id: LogRow(id=item.id, label=item.label or 0, prediction=item.label, num_steps=3) for item in examples}
    benchmark = get_benchmark("mrben")
    located = [item.id for item in examples if item.label != -1]
    assert summarise(benchmark, examples, log, FEW, {})["num_ungraded"] == len(located)
    scoring = Scoring(sampling=FEW.sampling, reasons=dict.fromkeys(located[1:], True))
    found = summarise(benchmark, examples, log, scoring, {})
    assert (found["num_ungraded"], found["mr_score"]) == (1, None)
    why = f"the file of --reasons has no grade for 1 of the errors that the judge located ('{located[0]}')"
    assert found["missing_parts"] == {"mr_score": why, "reason_acc": why}
    assert summarise(get_benchmark("processbench"), examples, log, FEW, {})["num_ungraded"] is None


def test_a_subset_without_located_errors_needs_no_grades() -> None:
    examples = make_examples({"x": 12, "y": 4})
    log = {
        item.id: LogRow(
            id=item.id, label=item.label or 0, prediction=item.label if item.subset == "x" else -1, num_steps=3
        )
        for item in examples
    }
    located = [item.id for item in examples if item.label != -1 and item.subset == "x"]
    scoring = Scoring(sampling=FEW.sampling, reasons=dict.fromkeys(located, True))
    found = summarise(get_benchmark("mrben"), examples, log, scoring, {})
    assert found["by_subset"]["y"]["reason_acc"] == 0.0
    assert found["mean_mr_score"] is not None


def test_the_step_threshold_moves_the_prm_score() -> None:
    examples = [Example("p", ("a", "b", "c"), 1, id="a", cluster="c", subset="t", wrong_steps=(1, 2))]
    row = LogRow(id="a", label=1, prediction=1, num_steps=3, step_error_probs=(0.1, 0.6, 0.4))
    scores = {
        threshold: summarise(
            get_benchmark("prmbench"), examples, {"a": row}, Scoring(FEW.sampling, step_threshold=threshold), {}
        )["prm_score"]
        for threshold in (0.3, 0.5)
    }
    assert scores == {0.3: 1.0, 0.5: pytest.approx((2 / 3 + 2 / 3) / 2)}


def test_a_prediction_beyond_the_last_step_is_wrong_and_counted() -> None:
    examples = make_examples({"x": 8})
    log = make_log(examples)
    wrong = next(item for item in examples if item.label == 2)
    log[wrong.id] = LogRow(id=wrong.id, label=2, prediction=9, num_steps=3)
    assert summarise(get_benchmark("processbench"), examples, log, FEW, {})["num_out_of_range"] == 1


def test_confusion_by_position() -> None:
    said: list[tuple[int, int | None]] = [(0, 0), (0, 0), (0, None), (-1, 2), (2, -1), (0, -1)]
    rows = [JudgedRow("p", label, 3, prediction) for label, prediction in said]
    found: dict[str, Any] = confusion(rows)
    assert found == {"-1": {"2": 1}, "0": {"-1": 1, "0": 2, "unscored": 1}, "2": {"-1": 1}}
    assert [list(found), list(found["0"])] == [["-1", "0", "2"], ["-1", "0", "unscored"]]


def test_length_groups_leave_no_gap() -> None:
    sizes = {"1-3": 3, "4-5": 2, "6-8": 3, "9-12": 4, "13+": 3}
    assert [length_name(n) for n in range(1, 16)] == [name for name, size in sizes.items() for _ in range(size)]
    assert all(here[1] == after[0] - 1 for here, after in itertools.pairwise(LENGTHS))
