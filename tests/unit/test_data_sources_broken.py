"""Rows and files of each source that are broken: what is dropped, and what is said."""

from __future__ import annotations

import pytest

from judge.data.sources import sources
from judge.errors import DataError
from tests.unit.source_rows import (
    GOOD,
    GSM8K,
    MISTAKE,
    MR_GSM8K,
    MRBEN,
    PRMBENCH,
    PROCESSBENCH,
    RECORD,
    SHEPHERD,
    TRL,
    load,
)

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


@pytest.mark.parametrize("label", [-2, 2])
def test_an_impossible_label_is_told_with_the_possible_ones(label: int) -> None:
    with pytest.raises(DataError, match=r"counted from 0 \(records labels: label, from 0, none: -1"):
        load("records", RECORD | {"label": label})


def test_labels_that_never_name_the_first_step_are_told() -> None:
    """A file that counts from 1 can look like this, in which no error is in a last step."""
    three = RECORD | {"steps": ["a", "b", "c"]}
    rows = [three | {"id": str(index), "label": 1 + index % 2} for index in range(60)]
    [warning] = load("records", *rows).report.warnings
    assert warning == "file: none of 60 error labels is 0: does this file count from 1?"
    assert load("records", *rows[:59]).report.warnings == []
    assert load("records", *rows, three | {"label": 0}).report.warnings == []


def test_an_id_that_comes_again_is_counted() -> None:
    loaded = load("records", RECORD | {"id": "x"}, RECORD | {"id": "x"}, RECORD | {"id": "y"})
    assert [record.id for record in loaded.records] == ["x", "x~2", "y"]
    assert loaded.report.repaired == {"id used before, renamed": 1}


def test_every_source_is_tested() -> None:
    assert {name for name, _, _ in GOOD} | {"prm800k"} == set(sources())
    assert {name for name, _, _, _ in BAD} | {"prm800k"} == set(sources())


@pytest.mark.parametrize("name", sorted(sources()))
def test_a_file_of_another_schema_names_file_row_and_field(name: str) -> None:
    with pytest.raises(DataError, match=rf"^file: row 1: .*'\w+'.*none of the 3 rows can be used: is it a {name} file"):
        load(name, *[{"x": 1, "y": ["a"]}] * 3)
    with pytest.raises(DataError, match="file: holds no rows"):
        load(name)
