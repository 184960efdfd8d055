"""Small rows of each source's upstream schema, and the records they must give."""

from __future__ import annotations

from typing import Any

from judge.data.items import Item
from judge.data.source import Loaded, read_records
from judge.data.sources import get_source
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
