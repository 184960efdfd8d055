"""The benchmarks on upstream files and rows in the upstream schema: subsets, problems, many-step labels, drops."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from eval.benchmarks.base import benchmarks, get_benchmark, read_benchmark_file, read_data_file
from eval.benchmarks.example import BenchmarkData, Example
from judge.data.items import read_items
from judge.data.sources import load_source
from judge.errors import ConfigError, DataError
from judge.types import NO_ERROR

MR_GSM8K: dict[str, Any] = {
    "uuid": "u1",
    "question": "1 + 1 + 2?",
    "question_type": "original",
    "ground_truth_solution": "4",
    "ground_truth_answer": 4,
    "model_output_steps": ["Step 1: 1 + 1 = 2", "Step 2: 2 + 2 = 5"],
    "model_output_answer_correctness": "wrong",
    "model_output_solution_correctness": "wrong",
    "model_output_solution_first_error_step": 2,
    "model_output_solution_first_error_reason": "2 + 2 is 4.",
}
PRMBENCH: dict[str, Any] = {
    "original_question": "1 + 1 + 2?",
    "modified_question": "1 + 1 + 2, if 1 is 3?",
    "modified_process": ["a", "b", "c", "d"],
    "error_steps": [2, 4],
    "idx": "prm_1",
    "classification": "deception",
}
RECORD: dict[str, Any] = {"problem": "1 + 1?", "steps": ["1 + 1 = 3"], "label": 0, "source": "mine", "id": "a"}


def read(name: str, path: Path) -> BenchmarkData:
    return get_benchmark(name).read(read_data_file(path))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("name", "folder", "subsets", "num_problems", "dropped"),
    [
        ("processbench", "processbench", {"gsm8k": 400, "math": 1000}, 1330, {}),
        ("mr_gsm8k", "mr_gsm8k", {"original": 17, "POT": 13}, 27, {}),
        (
            "mrben",
            "mrben",
            {"math": 918, "physics": 665, "chemistry": 848},
            817,
            {"label names several steps": 2},
        ),
        ("prmbench", "prmbench", {"counterfactual": 90, "step_contradiction": 90}, None, {}),
        (
            "big_bench_mistake",
            "big_bench_mistake",
            dict.fromkeys(
                ("dyck_languages", "logical_deduction", "multistep_arithmetic", "tracking_shuffled_objects",
                 "word_sorting"), 25,
            ),
            125,
            {},
        ),
    ],
)  # fmt: skip
def test_real_folders(
    data_dir: Path, name: str, folder: str, subsets: dict[str, int], num_problems: int | None, dropped: dict[str, int]
) -> None:
    data = read(name, data_dir / folder)
    assert Counter(example.subset for example in data.examples) == subsets
    assert data.dropped == dropped
    assert len({example.id for example in data.examples}) == len(data.examples)
    if num_problems is not None:
        assert len({example.cluster for example in data.examples}) == num_problems


def test_examples_are_the_loaders_records(data_dir: Path) -> None:
    path = data_dir / "mrben" / "physics.json.gz"
    records = load_source("mrben", str(path)).records
    for example, record in zip(read("mrben", path).examples, records, strict=True):
        assert (example.id, example.problem, example.steps, example.label) == (
            record.id,
            record.problem,
            record.steps,
            record.label,
        )


def test_prm800k_from_parquet(data_dir: Path, tmp_path: Path) -> None:
    """A part of the file: the whole takes half a minute."""
    pandas = pytest.importorskip("pandas")
    pandas.read_parquet(data_dir / "prm800k" / "phase1_train.parquet").head(600).to_parquet(tmp_path / "part.parquet")
    examples = read("prm800k", tmp_path / "part.parquet").examples
    wrong = [example for example in examples if example.label != NO_ERROR]
    assert wrong
    assert all(example.label == len(example.steps) - 1 for example in wrong)
    assert {example.subset for example in examples} == {"part"}


def test_every_wrong_step_of_the_real_prmbench(data_dir: Path) -> None:
    path = data_dir / "prmbench" / "prm800k_test_p1_4o_counterfactual.jsonl.gz"
    raw = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    examples = read("prmbench", path).examples
    assert len(raw) == len(examples) == 90
    for row, example in zip(raw, examples, strict=True):
        there = [step for step in row["error_steps"] if step <= len(row["modified_process"])]
        assert [step + 1 for step in example.wrong_steps or ()] == there
        assert example.label == min(example.wrong_steps or (NO_ERROR,))


def test_prmbench_rows(tmp_path: Path) -> None:
    rows = [
        PRMBENCH,
        PRMBENCH | {"idx": "prm_1", "classification": "circular", "modified_process": ["a", " ", "c", "d"]},
        PRMBENCH | {"idx": "prm_2", "classification": "multi_solutions", "error_steps": "[]"},
        PRMBENCH | {"modified_question": "read before"},
    ]
    data = read("prmbench", write(tmp_path / "x.jsonl", rows))
    assert [example.id for example in data.examples] == ["deception_prm_1", "multi_solutions_prm_2"]
    assert [example.wrong_steps for example in data.examples] == [(1, 3), ()]
    assert data.dropped == {"first error is an empty step": 1, "id used twice": 1}
    assert len({example.cluster for example in data.examples}) == 1
    later = PRMBENCH | {"modified_process": ["a", "", "c", "d"], "error_steps": ["3", 9]}
    (example,) = read("prmbench", write(tmp_path / "y.jsonl", [later])).examples
    assert (example.steps, example.wrong_steps, example.label) == (("a", "c", "d"), (1,), 1)


def test_mr_gsm8k_rows(tmp_path: Path) -> None:
    correct = {"model_output_solution_correctness": "correct", "model_output_solution_first_error_step": "N/A"}
    rows = [
        MR_GSM8K,
        MR_GSM8K | {"question_type": "reversed", "uuid": "u2"} | correct,
        MR_GSM8K | {"uuid": "u3", "model_output_solution_first_error_step": "N/A"},
        MR_GSM8K | {"uuid": "u4", "model_output_solution_first_error_step": 7},
    ]
    (tmp_path / "x.json").write_text(json.dumps(rows))
    data = read("mr_gsm8k", tmp_path / "x.json")
    assert [(example.id, example.label, example.subset) for example in data.examples] == [
        ("original-u1", 1, "original"),
        ("reversed-u2", NO_ERROR, "reversed"),
    ]
    assert data.examples[0].aliases == ("u1",)
    assert data.dropped == {"label and correctness disagree": 1, "label out of range": 1}


def test_a_mistake_file_is_a_task(tmp_path: Path) -> None:
    row = {"input": "q", "steps": ["a", "b"], "answer": "1", "target": "2", "mistake_index": 1}
    path = write(tmp_path / "word_sorting.jsonl", [row, row | {"input": "r", "mistake_index": None}])
    examples = read("big_bench_mistake", path).examples
    assert [(example.subset, example.label, example.aliases) for example in examples] == [
        ("word_sorting", 1, ("word_sorting-0",)),
        ("word_sorting", NO_ERROR, ("word_sorting-1",)),
    ]


def test_records(tmp_path: Path) -> None:
    nameless = {key: value for key, value in RECORD.items() if key != "id"} | {"problem": "2 + 2?"}
    path = write(tmp_path / "x.jsonl", [RECORD, nameless, RECORD | {"id": "c", "label": None}])
    data = read("records", path)
    assert [(example.subset, example.label) for example in data.examples] == [("mine", 0), ("mine", 0)]
    assert data.examples[1].aliases == ("1",)
    assert data.dropped == {"no label": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([RECORD, RECORD | {"problem": "2?"}], "x.jsonl: row 2: 'id' = 'a' was used before"),
        ([RECORD, RECORD | {"id": "b", "label": 4}], "x.jsonl: row 2: 'label' = 4 is out of range"),
        ([RECORD, {"id": "b", "label": 0, "steps": ["x"]}], "x.jsonl: row 2: 'problem': Field required"),
        ([RECORD | {"label": None}], "no row has a label"),
    ],
)
def test_wrong_records(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read("records", write(tmp_path / "x.jsonl", rows))


@pytest.mark.parametrize("name", [name for name in benchmarks() if name != "records"])
def test_a_file_of_another_schema_names_row_and_field(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "x.jsonl", [{"id": "a", "text": "b"}])
    with pytest.raises(DataError, match=r"x\.jsonl: row 1.*'\w+': field required"):
        read(name, path)


def test_processbench_folder_with_an_id_in_two_files(tmp_path: Path) -> None:
    row = {"id": "gsm8k-0", "problem": "p", "steps": ["s"], "label": 0}
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps([row | {"generator": name}]))
    with pytest.raises(DataError, match=r"b\.json: row 1: 'id' = 'gsm8k-0' was used before"):
        read("processbench", tmp_path)


def test_folders(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", [RECORD])
    alone = read_data_file(tmp_path).digest
    write(tmp_path / "a.jsonl", [RECORD | {"id": "b"}])
    (tmp_path / "notes.txt").write_text("not data")
    data = read_data_file(tmp_path)
    assert [example.id for example in get_benchmark("records").load(data)] == ["b", "a"]
    assert data.digest != alone
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    (tmp_path / "a.jsonl").unlink()
    assert read_data_file(tmp_path).digest == data.digest


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_that_holds_a_file_twice_is_refused(tmp_path: Path, packed: bool) -> None:
    write(tmp_path / "a.jsonl", [RECORD])
    content = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / ("b.jsonl.gz" if packed else "b.jsonl")).write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=r"b\.jsonl.*: holds the same as a\.jsonl, every row would count twice"):
        read_data_file(tmp_path)
    with pytest.raises(DataError, match=r"b\.jsonl.*: holds the same as a\.jsonl, every row would count twice"):
        load_source("records", str(tmp_path))


def test_rows_of_an_earlier_file_are_left_out_and_counted(tmp_path: Path) -> None:
    mistake = {"input": "q", "steps": ["a", "b"], "answer": "1", "target": "2", "mistake_index": 1}
    files = {
        "mr_gsm8k": (MR_GSM8K, MR_GSM8K | {"uuid": "u2"}),
        "big_bench_mistake": (mistake, mistake | {"input": "r"}),
    }
    for name, (first, second) in files.items():
        folder = tmp_path / name
        folder.mkdir()
        write(folder / "a.jsonl", [first, first])
        write(folder / "b.jsonl", [second, first])
        data = read(name, folder)
        assert len(data.examples) == 3, "rows that are twice in one file are upstream's own"
        assert data.dropped == {"row of another file": 1}


def test_numbers_as_ids(tmp_path: Path) -> None:
    rows = [{"id": number, "problem": f"p{number}", "steps": ["s"], "label": 0} for number in (7, 8)]
    (tmp_path / "x.json").write_text(json.dumps(rows))
    assert [example.id for example in read("processbench", tmp_path / "x.json").examples] == ["7", "8"]


def test_the_loaders_read_folders_as_benchmarks_do(data_dir: Path) -> None:
    loaded = load_source("processbench", str(data_dir / "processbench"))
    assert len(loaded.records) == 1400
    assert [record.id for record in loaded.records] == [
        example.id for example in read("processbench", data_dir / "processbench").examples
    ]


def test_hub_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The datasets library is asked for each split of the benchmark; rows come as from a file."""
    asked = []

    def hub_rows(path: str) -> list[dict[str, Any]]:
        asked.append(path)
        subset = path.partition("#")[2]
        return [{"id": f"{subset}-0", "problem": "p", "steps": ["s"], "label": 0, "generator": "g"}]

    monkeypatch.setattr("eval.benchmarks.data_file.hub_rows", hub_rows)
    monkeypatch.chdir(tmp_path)
    benchmark = get_benchmark("processbench")
    for path in (None, "Qwen/ProcessBench"):
        asked.clear()
        data = read_benchmark_file(benchmark, path)
        assert asked == [f"Qwen/ProcessBench#{name}" for name in ("gsm8k", "math", "olympiadbench", "omnimath")]
        assert [example.subset for example in benchmark.load(data)] == ["gsm8k", "math", "olympiadbench", "omnimath"]
    one = read_benchmark_file(benchmark, "Qwen/ProcessBench#math")
    assert [example.id for example in benchmark.load(one)] == ["math-0"]
    assert one.digest != data.digest


def test_a_benchmark_that_is_not_on_the_hub_needs_a_path() -> None:
    with pytest.raises(ConfigError, match="--path is needed: records"):
        read_benchmark_file(get_benchmark("records"), None)


def test_examples_are_records_for_every_other_tool(data_dir: Path) -> None:
    path = str(data_dir / "processbench" / "gsm8k.json.gz")
    (first, *_) = get_benchmark("processbench").load(read_data_file(path))
    raw = next(iter(read_items(path))).value
    assert isinstance(first, Example)
    assert isinstance(raw, dict)
    assert (first.id, first.problem, list(first.steps)) == (raw["id"], raw["problem"], raw["steps"])
