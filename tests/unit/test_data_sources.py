"""Each source's schema on small rows: index base, "no error" code, and rows that are broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judge.data.items import Item
from judge.data.source import Loaded, read_records
from judge.data.sources import get_source, load_source, sources
from judge.data.trl import to_row, write_trl
from judge.errors import ConfigError, DataError
from judge.records import write_records
from judge.types import Record

PROCESSBENCH = {
    "id": "math-1",
    "problem": "P?",
    "steps": ["a", "b", "c"],
    "label": 2,
    "final_answer_correct": False,
}
MRBEN = {
    "Question_UUID": "u",
    "Question": "Which?",
    "Options": "A: 1 \nB: 2 ",
    "Ground_Truth_Analysis": "",
    "Ground_Truth_Answer_Modified": "B",
    "Sampled_Model": "M",
    "Model_Solution_Steps": ["Step 1: one", "", "Step 2: two", "more", "Step 3: three", "Solution: Choice_A"],
    "Model_Solution_Correctness": "incorrect",
    "Model_Solution_First_Error_Step": "2",
    "Model_Solution_Error_Reason": ["", "Because.\n"],
    "Model_Solution_Rectified_First_Error_Step": ["Step 2: fixed\n"],
}
MR_GSM8K = {
    "uuid": "u",
    "question": "How many?",
    "question_type": "POT",
    "ground_truth_solution": "2 * 2 = 4\n#### 4",
    "ground_truth_answer": 4,
    "model_output_steps": ["Step 1: x = 2", "Step 2: print(x)"],
    "model_output_answer_correctness": "wrong",
    "model_output_solution_correctness": "wrong",
    "model_output_solution_first_error_step": 2,
    "model_output_solution_first_error_reason": "Not doubled.",
}
MISTAKE = {"input": "Sort", "steps": ["a", "b"], "target": "x y", "answer": "y x", "mistake_index": 0}
PRMBENCH = {
    "original_question": "Q",
    "modified_question": "Q'",
    "original_process": ["a", "b"],
    "modified_process": ["a", "c", "d"],
    "error_steps": [3, 2],
    "idx": "prm_test_p1_0",
    "classification": "circular",
}
SHEPHERD = {
    "input": "Is it 5? Step 1: 2+2=4 ки\nStep 2: 4+2=5 ки\nStep 3: The answer is: 5 ки",
    "label": "Is it 5? Step 1: 2+2=4 +\nStep 2: 4+2=5 -\nStep 3: The answer is: 5 -",
    "task": "GSM8K",
}
TRL = {"prompt": "P", "completions": ["a", "b", "c"], "labels": [True, False, True]}
GSM8K = {"question": "Q", "answer": "48/2 = <<48/2=24>>24.\n\n24+1,000 = 1,024.\n#### 1,024"}
RECORD = {"problem": "P", "steps": ["a", "b"], "label": 1, "id": "r1", "source": "mine"}

RIGHT = {"Model_Solution_Correctness": "correct", "Model_Solution_First_Error_Step": "N/A"}

GOOD: list[tuple[str, dict[str, Any], Record]] = [
    ("processbench", PROCESSBENCH, Record("P?", ("a", "b", "c"), 2, None, None, False, "processbench", "math-1")),
    (
        "processbench",
        PROCESSBENCH | {"label": -1},
        Record("P?", ("a", "b", "c"), -1, None, None, False, "processbench", "math-1"),
    ),
    (
        "mrben",
        MRBEN,
        Record(
            "Which?\nA: 1 \nB: 2",
            ("one", "two\nmore", "three"),
            1,
            None,
            "B",
            False,
            "mrben",
            "u-M",
            "Because.\nCorrected step: fixed",
        ),
    ),
    (
        "mrben",
        MRBEN
        | {
            "Model_Solution_Correctness": "correct",
            "Model_Solution_First_Error_Step": "N/A",
            "Model_Solution_Steps": ["Note.", "tep 1: one", "Step 2: Solution: Choice_B"],
        },
        Record("Which?\nA: 1 \nB: 2", ("Note.\none",), -1, None, "B", True, "mrben", "u-M"),
    ),
    (
        "mrben",
        MRBEN | {"Model_Solution_Steps": ["Step 1: one", "Step 2: Solution: Choice_A"]},
        Record(
            "Which?\nA: 1 \nB: 2",
            ("one", "Solution: Choice_A"),
            1,
            None,
            "B",
            None,
            "mrben",
            "u-M",
            "Because.\nCorrected step: fixed",
        ),
    ),
    (
        "mrben",
        {
            **MRBEN,
            "Options": None,
            "Model_Solution_Steps": "```python\ndef f():\n\n    return 1\n```",
            "Model_Solution_First_Error_Step": "```python\n    return 1\n```",
            "Model_Solution_Error_Reason": "N/A",
        },
        Record("Which?", ("def f():", "    return 1"), 1, None, "B", None, "mrben", "u-M"),
    ),
    (  # "Solution:" between steps is no tail
        "mrben",
        MRBEN | RIGHT | {"Model_Solution_Steps": ["Step 1: one", "Solution: not yet", "Step 2: two"]},
        Record("Which?\nA: 1 \nB: 2", ("one\nSolution: not yet", "two"), -1, None, "B", True, "mrben", "u-M"),
    ),
    (  # a right solution with another choice contradicts itself
        "mrben",
        MRBEN | RIGHT,
        Record("Which?\nA: 1 \nB: 2", ("one", "two\nmore", "three"), -1, None, "B", None, "mrben", "u-M"),
    ),
    (
        "prmbench",
        PRMBENCH | {"error_steps": ["3"]},
        Record("Q'", ("a", "c", "d"), 2, source="prmbench", id="circular_prm_test_p1_0"),
    ),
    (
        "mr_gsm8k",
        MR_GSM8K,
        Record(
            "How many?", ("x = 2", "print(x)"), 1, "2 * 2 = 4\n#### 4", "4", False, "mr_gsm8k", "POT-u", "Not doubled."
        ),
    ),
    (
        "mr_gsm8k",
        MR_GSM8K
        | {
            "model_output_solution_first_error_step": "N/A",
            "model_output_solution_correctness": "correct",
            "model_output_answer_correctness": "correct",
            "model_output_solution_first_error_reason": "N/A",
            "model_output_steps": "['x = 2', 'print(2 * x)']",
        },
        Record("How many?", ("x = 2", "print(2 * x)"), -1, "2 * 2 = 4\n#### 4", "4", True, "mr_gsm8k", "POT-u"),
    ),
    (
        "mr_gsm8k",
        MR_GSM8K | {"model_output_solution_first_error_step": "Step 1"},
        Record(
            "How many?", ("x = 2", "print(x)"), 0, "2 * 2 = 4\n#### 4", "4", False, "mr_gsm8k", "POT-u", "Not doubled."
        ),
    ),
    ("big_bench_mistake", MISTAKE, Record("Sort", ("a", "b"), 0, None, "x y", False, "big_bench_mistake")),
    (
        "big_bench_mistake",
        MISTAKE | {"mistake_index": None, "answer": "x y "},
        Record("Sort", ("a", "b"), -1, None, "x y", True, "big_bench_mistake"),
    ),
    (
        "big_bench_mistake",
        MISTAKE | {"steps": ["", "a", "b"], "mistake_index": 2.0},
        Record("Sort", ("a", "b"), 1, None, "x y", False, "big_bench_mistake"),
    ),
    ("prmbench", PRMBENCH, Record("Q'", ("a", "c", "d"), 1, source="prmbench", id="circular_prm_test_p1_0")),
    (
        "prmbench",
        PRMBENCH | {"error_steps": "[]", "modified_process": "['a', \"it's\"]", "idx": "circular_7"},
        Record("Q'", ("a", "it's"), -1, source="prmbench", id="circular_7"),
    ),
    ("prmbench_originals", PRMBENCH, Record("Q", ("a", "b"), -1, source="prmbench_originals")),
    (
        "math_shepherd",
        SHEPHERD,
        Record("Is it 5?", ("2+2=4", "4+2=5", "The answer is: 5"), 1, None, None, False, "math_shepherd"),
    ),
    (
        "math_shepherd",
        {"input": "Is it 4? 2+2=4 ки", "label": "Is it 4? 2+2=4 +"},
        Record("Is it 4?", ("2+2=4",), -1, None, None, True, "math_shepherd"),
    ),
    ("trl", TRL, Record("P", ("a", "b", "c"), 1, source="trl")),
    ("trl", TRL | {"labels": [1, 1, 1]}, Record("P", ("a", "b", "c"), -1, source="trl")),
    ("gsm8k", GSM8K, Record("Q", ("48/2 = <<48/2=24>>24.", "24+1,000 = 1,024."), -1, None, "1024", True, "gsm8k")),
    ("records", RECORD, Record("P", ("a", "b"), 1, source="mine", id="r1")),
    (
        "records",
        {"problem": "P", "response": "One is one.\nTwo is two."},
        Record("P", ("One is one.", "Two is two."), None, source="records"),
    ),
]


def load(source: str, *rows: object) -> Loaded:
    items = [Item(f"file: row {number}", row) for number, row in enumerate(rows, start=1)]
    return read_records(get_source(source), items, "file")


@pytest.mark.parametrize(("source", "row", "expected"), GOOD)
def test_a_row_in_the_upstream_schema(source: str, row: dict[str, Any], expected: Record) -> None:
    [record] = load(source, row | {"some": "other field"}).records
    assert record.id
    if not expected.id:
        assert record.id.startswith(f"{expected.source}-")
        record = Record(**{field: getattr(record, field) for field in Record.__slots__ if field != "id"})
    assert record == expected


SHORT = {"Model_Solution_Correctness": "incorrect", "Model_Solution_Steps": ["Step 1: a", "Step 1: b", "Step 4: c"]}
BAD: list[tuple[str, object, str, str]] = [
    (
        "processbench",
        PROCESSBENCH | {"label": 3},
        "label out of range",
        "'label' = 3 is out of range: it names one of its 3",
    ),
    ("processbench", PROCESSBENCH | {"label": -2}, "label out of range", "'label' = -2"),
    ("processbench", PROCESSBENCH | {"steps": ["a", " ", "c"], "label": 1}, "first error is an empty step", "label 1"),
    ("processbench", PROCESSBENCH | {"problem": " "}, "no problem", "the problem is empty"),
    (
        "processbench",
        PROCESSBENCH | {"label": "2"},
        "wrong schema: 'label'",
        "'label': input should be a valid integer",
    ),
    ("processbench", [1], "not an object", "found list"),
    ("mrben", MRBEN | {"Model_Solution_First_Error_Step": "0"}, "label out of range", "= 0 is out of range"),
    (
        "mrben",
        MRBEN | {"Model_Solution_First_Error_Step": "4"},
        "label out of range",
        "one of its 3 steps, counted from 1",
    ),
    ("mrben", MRBEN | {"Model_Solution_First_Error_Step": "N/A"}, "label and correctness disagree", "no error"),
    (
        "mrben",
        MRBEN | {"Model_Solution_Correctness": "correct"},
        "label and correctness disagree",
        "an error in step 2",
    ),
    (
        "mrben",
        MRBEN | {"Model_Solution_Correctness": "perhaps"},
        "'Model_Solution_Correctness' is unknown",
        "'perhaps'",
    ),
    (
        "mrben",
        MRBEN | SHORT | {"Model_Solution_First_Error_Step": "1"},
        "label names several steps",
        "2 steps are named",
    ),
    ("mrben", MRBEN | SHORT | {"Model_Solution_First_Error_Step": "2"}, "label names no step", "'Step 2'"),
    (
        "mrben",
        MRBEN | {"Model_Solution_First_Error_Step": "x = 1"},
        "quoted line not found once",
        "0 lines are 'x = 1'",
    ),
    ("mrben", MRBEN | {"Model_Solution_Steps": ["Solution: Choice_A"]}, "no steps", "no step with text"),
    ("mr_gsm8k", MR_GSM8K | {"model_output_steps": "x = 2"}, "'model_output_steps' is no list", "found 'x = 2'"),
    ("mr_gsm8k", MR_GSM8K | {"model_output_solution_first_error_step": "two"}, "label is no step number", "'two'"),
    ("mr_gsm8k", MR_GSM8K | {"model_output_solution_first_error_step": 1.5}, "label is no step number", "1.5"),
    ("big_bench_mistake", MISTAKE | {"mistake_index": 2}, "label out of range", "'mistake_index' = 2 is out of range"),
    ("big_bench_mistake", MISTAKE | {"steps": []}, "label out of range", "one of its 0 steps"),
    ("big_bench_mistake", MISTAKE | {"steps": ["", " "], "mistake_index": None}, "no steps", "no step with text"),
    ("big_bench_mistake", MISTAKE | {"steps": ["a", None]}, "wrong schema: 'steps'", "'steps."),
    ("prmbench", PRMBENCH | {"error_steps": [0, 2]}, "label out of range", "'error_steps' = 0"),
    ("prmbench", PRMBENCH | {"error_steps": [4]}, "label out of range", "'error_steps' = 4"),
    ("prmbench", PRMBENCH | {"error_steps": "2, 3"}, "'error_steps' is no list", "'2, 3'"),
    ("prmbench", PRMBENCH | {"error_steps": "[{}]"}, "label is no step number", "{}"),
    ("prmbench", PRMBENCH | {"error_steps": "[null]"}, "label is no step number", "an empty entry"),
    ("prmbench", PRMBENCH | {"error_steps": [1e400]}, "label is no step number", "inf"),
    ("prmbench", PRMBENCH | {"error_steps": ["2", ""]}, "label is no step number", "''"),
    ("prmbench_originals", PRMBENCH | {"original_process": "x"}, "'original_process' is no list", "'x'"),
    ("math_shepherd", SHEPHERD | {"input": "Is it 5?"}, "no step tag", "'input'"),
    ("math_shepherd", SHEPHERD | {"label": SHEPHERD["label"][1:]}, "tags and labels do not match", "after step 1"),
    (
        "math_shepherd",
        {"input": "Is ки it? Step 1: a ки", "label": "Is + it? Step 1: a +"},
        "label inside the problem",
        "Step 1",
    ),
    ("math_shepherd", {"input": "Add. It is 4 ки", "label": "Add. It is 4 +"}, "no first step", "neither"),
    ("trl", TRL | {"labels": [True]}, "labels and completions differ in number", "1 labels for 3"),
    ("trl", TRL | {"labels": [None, False, True]}, "missing label", "'labels'"),
    ("trl", TRL | {"labels": [True, -100, True]}, "unknown label", "-100"),
    ("gsm8k", GSM8K | {"answer": "24."}, "no final answer", "####"),
    ("gsm8k", GSM8K | {"answer": "#### 24"}, "no steps", "no step with text"),
    ("records", RECORD | {"label": 2}, "label out of range", "'label' = 2"),
    ("records", RECORD | {"steps": []}, "label out of range", "'label' = 1"),
    ("records", RECORD | {"steps": [], "label": -1}, "no steps", "no step with text"),
    ("records", RECORD | {"label": "1"}, "not a record", "'label'"),
]


@pytest.mark.parametrize(("source", "row", "reason", "detail"), BAD)
def test_a_broken_row_is_dropped_and_counted(source: str, row: object, reason: str, detail: str) -> None:
    good = next(good for name, good, _ in GOOD if name == source) | {"id": "good"}
    report = load(source, good, row).report
    assert (report.rows, report.kept, dict(report.dropped)) == (2, 1, {reason: 1})
    assert report.first_faults[reason].startswith("file: row 2")
    assert detail in report.first_faults[reason]
    with pytest.raises(DataError, match=r"^file: row 1"):
        load(source, row)


def test_every_source_is_tested() -> None:
    assert {name for name, _, _ in GOOD} | {"prm800k"} == set(sources())
    assert {name for name, _, _, _ in BAD} | {"prm800k"} == set(sources())


@pytest.mark.parametrize("name", sorted(sources()))
def test_a_file_of_another_schema_names_file_row_and_field(name: str) -> None:
    with pytest.raises(DataError, match=rf"^file: row 1: .*'\w+'.*none of the 3 rows can be used: is it a {name} file"):
        load(name, *[{"x": 1, "y": ["a"]}] * 3)
    with pytest.raises(DataError, match="file: holds no rows"):
        load(name)


def test_a_misspelt_source_gets_the_closest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mr_gsm8k'"):
        load_source("MR-GSM8K", "x.json")


def test_ids_are_unique_and_stay_when_rows_are_added() -> None:
    other = MISTAKE | {"input": "Other"}
    alone = load("big_bench_mistake", other).records[0].id
    ids = [record.id for record in load("big_bench_mistake", MISTAKE, MISTAKE, other).records]
    assert ids[2] == alone
    assert ids[1] == f"{ids[0]}~2"
    assert len(set(ids)) == 3
    mine = [RECORD | {"id": "a~2"}, RECORD | {"id": "a"}, RECORD | {"id": "a"}]
    assert [record.id for record in load("records", *mine).records] == ["a~2", "a", "a~3"]


def test_original_solutions_come_once() -> None:
    loaded = load("prmbench_originals", PRMBENCH, PRMBENCH | {"idx": "1"}, PRMBENCH | {"original_question": "Other"})
    assert [record.problem for record in loaded.records] == ["Q", "Other"]
    assert loaded.report.merged.total() == 1


def test_an_old_label_is_corrected_and_said() -> None:
    old = PROCESSBENCH | {"id": "math-688", "label": 2}
    loaded = load("processbench", old, PROCESSBENCH | {"label": 2})
    assert [record.label for record in loaded.records] == [0, 2]
    assert loaded.report.repaired == {"label of math-688 corrected from 2 to 0, as upstream did": 1}
    assert load("processbench", old | {"label": 1}).records[0].label == 1


def test_records_and_trl_survive_a_round_trip(tmp_path: Path) -> None:
    records = [record for name, row, _ in GOOD for record in load(name, row).records]
    write_records(records, tmp_path / "records.jsonl")
    # The same row comes through several cases; repeated ids were made unique by the loader.
    again = load_source("records", str(tmp_path / "records.jsonl")).records
    assert [record.problem for record in again] == [record.problem for record in records]
    unique = list({record.id: record for record in records}.values())
    write_records(unique, tmp_path / "records.jsonl")
    assert load_source("records", str(tmp_path / "records.jsonl")).records == unique

    labelled = [record for record in unique if record.label is not None]
    assert write_trl(unique, tmp_path / "trl.jsonl") == len(unique) - len(labelled) == 1
    back = load_source("trl", str(tmp_path / "trl.jsonl")).records
    assert [record.label for record in back] == [record.label for record in labelled]
    for cut, whole in zip(back, labelled, strict=True):
        assert cut.steps == whole.steps[: None if whole.label == -1 else whole.label + 1]
    rows = [json.loads(line) for line in (tmp_path / "trl.jsonl").read_text().splitlines()]
    assert all(set(row) == {"prompt", "completions", "labels"} for row in rows)
    wrong = Record("P?", ("a", "b", "c"), label=1)
    assert to_row(wrong) == {"prompt": "P?", "completions": ["a", "b"], "labels": [True, False]}
