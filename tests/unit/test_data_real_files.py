"""Every loader on the upstream files: counts, labels against the raw rows, and the overlap with evaluation sets."""

from __future__ import annotations

import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from judge.data.items import read_items
from judge.data.overlap import evaluation_fingerprints, find_overlap, write_fingerprints
from judge.data.problem_text import fingerprint
from judge.data.source import Loaded
from judge.data.sources import load_source
from judge.data.training_set import DataSettings, DataSource, load_training_set
from judge.errors import ConfigError
from judge.types import NO_ERROR, Record
from tests.unit.test_data_prm800k import reference

PRM800K = "prm800k/phase1_train.parquet"
EVALUATION_FILES = {
    "processbench_gsm8k": "processbench/gsm8k.json.gz",
    "processbench_math": "processbench/math.json.gz",
    "gsm8k_test": "gsm8k/test.jsonl.gz",
    "math500": "math/math500.jsonl.gz",
}


@cache
def load(folder: Path, source: str, name: str) -> Loaded:
    return load_source(source, str(folder / name))


@pytest.mark.parametrize(
    ("source", "name", "num_rows", "num_error", "num_correct", "dropped"),
    [
        ("processbench", "processbench/gsm8k.json.gz", 400, 207, 193, {}),
        ("processbench", "processbench/math.json.gz", 1000, 594, 406, {}),
        ("mrben", "mrben/math.json.gz", 918, 769, 149, {}),
        ("mrben", "mrben/physics.json.gz", 667, 346, 319, {"label names several steps": 2}),
        ("mrben", "mrben/chemistry.json.gz", 848, 466, 382, {}),
        ("mr_gsm8k", "mr_gsm8k/sample.json", 30, 30, 0, {}),
        ("big_bench_mistake", "big_bench_mistake/dyck_languages.sample.jsonl", 25, 13, 12, {}),
        ("big_bench_mistake", "big_bench_mistake/logical_deduction.sample.jsonl", 25, 25, 0, {}),
        ("big_bench_mistake", "big_bench_mistake/multistep_arithmetic.sample.jsonl", 25, 18, 7, {}),
        ("big_bench_mistake", "big_bench_mistake/tracking_shuffled_objects.sample.jsonl", 25, 18, 7, {}),
        ("big_bench_mistake", "big_bench_mistake/word_sorting.sample.jsonl", 25, 22, 3, {}),
        ("prmbench", "prmbench/prm800k_test_p1_4o_counterfactual.jsonl.gz", 90, 90, 0, {}),
        ("prmbench", "prmbench/prm800k_test_p1_4o_step_contradiction.jsonl.gz", 90, 90, 0, {}),
        ("prmbench_originals", "prmbench/prm800k_test_p1_4o_counterfactual.jsonl.gz", 90, 0, 90, {}),
        ("gsm8k", "gsm8k/train.jsonl.gz", 7473, 0, 7473, {}),
        ("gsm8k", "gsm8k/test.jsonl.gz", 1319, 0, 1319, {}),
        (
            "prm800k", PRM800K, 51835, 16605, 14514,
            {"no rating": 3163, "rated both right and wrong": 91, "follows a step rated wrong": 624},
        ),
    ],
)  # fmt: skip
def test_counts(
    data_dir: Path, source: str, name: str, num_rows: int, num_error: int, num_correct: int, dropped: dict[str, int]
) -> None:
    records, report = load(data_dir, source, name).records, load(data_dir, source, name).report
    assert report.rows == num_rows == len(records) + report.dropped.total() + report.merged.total()
    assert report.dropped == dropped
    assert sum(record.label != NO_ERROR for record in records) == num_error
    assert sum(record.label == NO_ERROR for record in records) == num_correct
    assert report.warnings == []
    assert len({record.id for record in records}) == len(records)
    for record in records:
        assert record.label is not None
        assert NO_ERROR <= record.label < len(record.steps)
        assert all(step.strip() for step in record.steps)
        assert record.source == source


def test_prm800k_is_what_its_definition_says(data_dir: Path) -> None:
    raw = [item.value for item in read_items(str(data_dir / PRM800K))]
    rows = [(r["instruction"], tuple(r["responses"]), r["next_response"], r["rating"]) for r in raw]  # type: ignore[index]
    records = load(data_dir, "prm800k", PRM800K).records
    found = {(record.problem, record.steps, record.label) for record in records}
    # Complete solutions are kept even when someone went on after them.
    extra = found - reference(rows)
    assert reference(rows) <= found
    assert {problem for problem, _, _ in extra} <= {r.problem for r in records if r.final_answer_correct}
    assert len(extra) < 60
    complete = [record for record in records if record.final_answer_correct]
    assert sum(r["is_solution"] for r in raw) == 808  # type: ignore[index]
    assert len({record.problem for record in complete}) == 803  # five hold a step that was also rated wrong
    assert len(complete) == 1374
    assert all(record.label == NO_ERROR or record.label == len(record.steps) - 1 for record in records)


@pytest.mark.parametrize("subject", ["math", "physics", "chemistry"])
def test_mrben_labels_name_the_step_that_people_named(data_dir: Path, subject: str) -> None:
    name = f"mrben/{subject}.json.gz"
    records = {record.id: record for record in load(data_dir, "mrben", name).records}
    raw: dict[str, list[dict[str, Any]]] = json.loads(gzip.decompress((data_dir / name).read_bytes()))
    num_checked = 0
    for row in (row for rows in raw.values() for row in rows):
        record = records.get(f"{row['Question_UUID']}-{row['Sampled_Model']}")
        number = row["Model_Solution_First_Error_Step"]
        if record is None:
            continue
        assert not any(step.startswith("Solution:") for step in record.steps)
        if number == "N/A":
            assert record.label == NO_ERROR
            continue
        [named] = [s for s in row["Model_Solution_Steps"] if re.match(rf"\s*S?tep {number}:", s)]
        assert record.label is not None
        assert named.partition(":")[2].strip() in record.steps[record.label]
        assert record.critique
        num_checked += 1
    assert num_checked == sum(record.label != NO_ERROR for record in records.values())


def test_mr_gsm8k_and_prmbench_labels_name_the_raw_step(data_dir: Path) -> None:
    rows = [item.value for item in read_items(str(data_dir / "mr_gsm8k/sample.json"))]
    for row, record in zip(rows, load(data_dir, "mr_gsm8k", "mr_gsm8k/sample.json").records, strict=True):
        raw = row["model_output_steps"][int(row["model_output_solution_first_error_step"]) - 1]  # type: ignore[index]
        assert raw.partition(":")[2].strip() == record.steps[record.label or 0]
    name = "prmbench/prm800k_test_p1_4o_counterfactual.jsonl.gz"
    rows = [item.value for item in read_items(str(data_dir / name))]
    for row, record in zip(rows, load(data_dir, "prmbench", name).records, strict=True):
        assert row["modified_process"][min(row["error_steps"]) - 1] == record.steps[record.label or 0]  # type: ignore[index]


def test_gsm8k_keeps_its_calculator_marks(data_dir: Path) -> None:
    record = load(data_dir, "gsm8k", "gsm8k/train.jsonl.gz").records[0]
    assert record.steps == (
        "Natalia sold 48/2 = <<48/2=24>>24 clips in May.",
        "Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.",
    )
    assert record.reference_answer == "72"
    all_steps = [s for r in load(data_dir, "gsm8k", "gsm8k/train.jsonl.gz").records for s in r.steps]
    assert sum("<<" in step for step in all_steps) > 20_000
    assert not any("####" in step for step in all_steps)


def test_packaged_fingerprints_are_those_of_the_files(data_dir: Path, tmp_path: Path) -> None:
    paths = {name: str(data_dir / path) for name, path in EVALUATION_FILES.items()}
    sizes = write_fingerprints(paths, tmp_path / "new.txt")
    assert sizes == {"processbench_gsm8k": 375, "processbench_math": 955, "gsm8k_test": 1319, "math500": 500}
    packaged = Path(__file__).resolve().parents[2] / "judge/data/evaluation_problems.txt"
    assert (tmp_path / "new.txt").read_text() == packaged.read_text()
    sets = evaluation_fingerprints()
    assert sets["processbench_gsm8k"] <= sets["gsm8k_test"]
    assert len(sets["processbench_math"] & sets["math500"]) == 108


@pytest.mark.parametrize(
    ("source", "name", "num_problems"),
    [
        ("prm800k", PRM800K, 888),
        ("mrben", "mrben/math.json.gz", 308),
        ("mrben", "mrben/physics.json.gz", 225),
        ("mrben", "mrben/chemistry.json.gz", 284),
        ("gsm8k", "gsm8k/train.jsonl.gz", 7473),
    ],
)
def test_training_sources_share_no_problem_with_evaluation(
    data_dir: Path, source: str, name: str, num_problems: int
) -> None:
    overlap = find_overlap(load(data_dir, source, name).records)
    assert (overlap.num_problems, overlap.num_shared) == (num_problems, 0)


@pytest.mark.parametrize(
    ("source", "name", "num_shared", "num_problems"),
    [
        ("processbench", "processbench/gsm8k.json.gz", 375, 375),
        ("processbench", "processbench/math.json.gz", 955, 955),
        ("gsm8k", "gsm8k/test.jsonl.gz", 1319, 1319),
        ("mr_gsm8k", "mr_gsm8k/sample.json", 27, 27),
        ("prmbench", "prmbench/prm800k_test_p1_4o_counterfactual.jsonl.gz", 77, 90),
    ],
)
def test_evaluation_problems_are_refused(
    data_dir: Path, source: str, name: str, num_shared: int, num_problems: int
) -> None:
    overlap = find_overlap(load(data_dir, source, name).records)
    assert (overlap.num_shared, overlap.num_problems) == (num_shared, num_problems)
    settings = DataSettings(sources=(DataSource(source=source, path=str(data_dir / name)),))
    with pytest.raises(ConfigError, match=rf"{num_shared} of {num_problems} problems are evaluation.*allow_overlap"):
        load_training_set(settings)
    allowed = load_training_set(settings.model_copy(update={"allow_overlap": True}))
    assert allowed.train


def test_math500_is_refused_however_it_is_written(data_dir: Path) -> None:
    problems = [item.value["problem"] for item in read_items(str(data_dir / "math/math500.jsonl.gz"))]  # type: ignore[index]
    rewritten = [" ".join(text.replace("$", "").upper().split()) + " " for text in problems]
    overlap = find_overlap([Record(text, ("a",)) for text in rewritten])
    assert overlap.shared_by_set["math500"] == 500
    assert len({fingerprint(text) for text in problems}) == 500
