"""Blank steps: left out of what is judged, counted by predictions made elsewhere."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.benchmarks.base import get_benchmark, read_data_file
from eval.benchmarks.example import Benchmark, Example
from eval.benchmarks.step_map import all_of, of_numbers, of_texts
from eval.judged import judged_rows
from eval.log import LogRow
from eval.metrics import Sampling, measure
from eval.predictions import PredictionLine, prediction_rows
from eval.summary import Scoring, summarise
from judge.errors import DataError
from judge.types import NO_ERROR
from tests.unit.test_eval_benchmarks import MR_GSM8K, PRMBENCH, RECORD

STEPS = ["", "a", "b", " \n", "c", ""]


def example(benchmark: str, path: Path, *rows: dict[str, Any]) -> list[Example]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return get_benchmark(benchmark).load(read_data_file(path))


def logged(found: Example, **line: Any) -> LogRow:
    (row,) = prediction_rows({found.id: PredictionLine(id=found.id, **line)}, [found], "x")
    return row


def processbench_row(number: int, steps: list[str], label: int) -> dict[str, Any]:
    return {"id": f"r-{number}", "problem": f"p{number}", "steps": steps, "label": label}


@given(st.lists(st.sampled_from(["", " ", "a"]), min_size=1, max_size=8).filter(lambda steps: "a" in steps))
def test_a_step_has_as_many_steps_with_text_before_it_as_its_index_says(steps: list[str]) -> None:
    found = of_texts(steps)
    for number in range(len(steps)):
        assert found.index(number) == sum(bool(step.strip()) for step in steps[:number])
        assert found.is_blank(number) == (not steps[number].strip())
    assert found.index(len(steps) + 3) >= len(found.kept)
    assert not found.is_blank(len(steps))


def test_without_blank_steps_nothing_moves() -> None:
    assert [all_of(3).index(number) for number in range(6)] == list(range(6))
    assert [of_numbers(numbers).kept for numbers in ([1, 2, 3], [1, 2, 4], [1, 2, 1, 2], [])] == [
        (0, 1, 2),
        (0, 1, 3),
        (0, 1, 2, 3),
        (),
    ]


@pytest.mark.parametrize(
    ("said", "prediction", "blank"),
    [(None, None, False), (-1, -1, False), (0, 0, True), (1, 0, False), (3, 2, True), (4, 2, False), (5, 3, True)],
)
def test_predictions_count_blank_steps(tmp_path: Path, said: int | None, prediction: int, blank: bool) -> None:
    (found,) = example("processbench", tmp_path / "x.jsonl", processbench_row(0, STEPS, 4))
    assert (found.steps, found.label) == (("a", "b", "c"), 2)
    row = logged(found, prediction=said)
    assert (row.prediction, row.blank_step) == (prediction, blank)


def test_lists_are_one_value_a_step_of_the_file(tmp_path: Path) -> None:
    (found,) = example("processbench", tmp_path / "x.jsonl", processbench_row(0, STEPS, 4))
    row = logged(found, prediction=4, step_error_probs=[0.9, 0.1, 0.2, 0.8, 0.3, 0.7], error_steps=[0, 2, 4])
    assert row.step_error_probs == (0.1, 0.2, 0.3)
    assert row.error_steps == (1, 2)
    with pytest.raises(DataError, match=r"3 'step_error_probs' for 6 steps \(3 of them without text\)"):
        logged(found, prediction=4, step_error_probs=[0.1, 0.2, 0.3])
    with pytest.raises(DataError, match=r"'error_steps' has 6, of 6 steps \(3 of them"):
        logged(found, prediction=4, error_steps=[6])


def test_an_unreadable_answer_says_nothing_of_the_steps(tmp_path: Path) -> None:
    """A row without a verdict counted in PRMScore through its probabilities."""
    (found,) = example("prmbench", tmp_path / "x.jsonl", PRMBENCH)
    row = logged(found, prediction=None, step_error_probs=[0.1, 0.9, 0.1, 0.9], error_steps=[1, 3])
    assert (row.prediction, row.step_error_probs, row.error_steps) == (None, None, None)
    (judged,) = judged_rows([found], {found.id: row})
    assert judged.flagged_steps is None
    assert measure([judged], ("first_error", "prm")).whole["prm_score"] is None


@pytest.mark.parametrize("seed", range(4))
def test_predictions_score_as_with_the_published_script(tmp_path: Path, seed: int) -> None:
    """The end of ProcessBench's script on the rows as they are written, blank steps and all."""
    rng = random.Random(seed)
    rows = []
    for number in range(200):
        steps = [rng.choice(["", "\n", "x", "y", "z"]) for _ in range(rng.randrange(2, 7))] + ["end"]
        labels = [NO_ERROR, *(index for index, step in enumerate(steps) if step.strip())]
        rows.append(processbench_row(number, steps, rng.choice(labels)))
    said = {row["id"]: rng.choice([None, row["label"], *range(-1, len(row["steps"]) + 2)]) for row in rows}
    matched = {
        half: [said[row["id"]] == row["label"] for row in rows if (row["label"] == -1) == half] for half in (0, 1)
    }
    acc1, acc2 = (sum(matched[half]) / len(matched[half]) for half in (0, 1))
    assert any(label == said[row["id"]] + 1 for row in rows for label in [row["label"]] if said[row["id"]] is not None)
    examples = example("processbench", tmp_path / "x.jsonl", *rows)
    lines = {name: PredictionLine(id=name, prediction=step) for name, step in said.items()}
    log = {row.id: row for row in prediction_rows(lines, examples, "x")}
    found = summarise(get_benchmark("processbench"), examples, log, Scoring(Sampling(0)), {})
    assert (found["error_acc"], found["correct_acc"]) == (acc1, acc2)
    assert found["f1"] == pytest.approx(2 * acc1 * acc2 / (acc1 + acc2))
    assert found["num_blank_steps"] == sum(row.blank_step for row in log.values()) > 0


def test_the_blank_step_before_the_error_is_near_but_not_the_error(tmp_path: Path) -> None:
    (found,) = example("processbench", tmp_path / "x.jsonl", processbench_row(0, STEPS, 4))
    (row,) = judged_rows([found], {found.id: logged(found, prediction=3)})
    figures = measure([row]).whole
    assert (row.is_right, figures["error_acc"], figures["within_one_acc"], figures["detected_acc"]) == (False, 0, 1, 1)


def test_every_benchmark_knows_upstreams_indices(tmp_path: Path) -> None:
    numbered = ["Step 1: a", "", "Step 2:", "Step 3: c"]
    mr = MR_GSM8K | {"model_output_steps": numbered, "model_output_solution_first_error_step": 3}
    mrben = {
        "Question_UUID": "u",
        "Question": "1?",
        "Sampled_Model": "m",
        "Model_Solution_Steps": [*numbered, "Solution: Choice_A"],
        "Model_Solution_Correctness": "incorrect",
        "Model_Solution_First_Error_Step": "3",
    }
    mistake = {"input": "q", "steps": str(["a", "", "c"]), "answer": "1", "target": "2", "mistake_index": 2}
    prm = PRMBENCH | {"modified_process": ["a", "", "c"], "error_steps": [3]}
    record = RECORD | {"steps": ["a", "", "c"], "label": 2}
    for name, row in (
        ("mr_gsm8k", mr),
        ("mrben", mrben),
        ("big_bench_mistake", mistake),
        ("prmbench", prm),
        ("records", record),
    ):
        (found,) = example(name, tmp_path / "x.jsonl", row)
        assert (found.steps, found.label) == (("a", "c"), 1), name
        assert (found.step_map.kept, found.step_map.total) == ((0, 2), 3), name
        (judged,) = judged_rows([found], {found.id: logged(found, prediction=2)})
        assert judged.is_right, name


def test_repaired_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    example("processbench", path, processbench_row(0, STEPS, 4), processbench_row(1, ["a"], 0))
    benchmark: Benchmark = get_benchmark("processbench")
    assert benchmark.read(read_data_file(path)).repaired == {"empty steps removed": 1}
