"""The ProcessBench loader on the real files, and on files that are wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from eval.benchmarks.base import DataFile, benchmarks, get_benchmark, read_data_file
from eval.benchmarks.processbench import ProcessBench
from judge.errors import ConfigError, DataError
from judge.types import NO_ERROR, Record

ROW: dict[str, Any] = {
    "id": "gsm8k-0",
    "generator": "Qwen2-7B-Instruct",
    "problem": "1 + 1 + 2?",
    "steps": ["1 + 1 = 2", "2 + 2 = 5"],
    "final_answer_correct": False,
    "label": 1,
}


def load(path: Path) -> list[Record]:
    return ProcessBench().load(read_data_file(path))


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "num_rows", "num_error", "num_correct", "num_wrong_answer"),
    [("gsm8k", 400, 207, 193, 200), ("math", 1000, 594, 406, 500)],
)
def test_real_files(
    data_dir: Path, name: str, num_rows: int, num_error: int, num_correct: int, num_wrong_answer: int
) -> None:
    path = data_dir / "processbench" / f"{name}.json.gz"
    raw = json.loads(gzip.decompress(path.read_bytes()))
    records = load(path)
    assert len(records) == num_rows
    assert sum(record.label != NO_ERROR for record in records) == num_error
    assert sum(record.label == NO_ERROR for record in records) == num_correct
    assert sum(record.final_answer_correct is False for record in records) == num_wrong_answer
    for row, record in zip(raw, records, strict=True):
        assert (record.id, record.problem, list(record.steps), record.label) == (
            row["id"],
            row["problem"],
            row["steps"],
            row["label"],
        )
        assert record.source == "processbench"


def test_the_corrected_label(data_dir: Path) -> None:
    records = {record.id: record for record in load(data_dir / "processbench" / "math.json.gz")}
    assert records["math-688"].label == 0


def test_every_form_of_the_file_is_the_same(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"id": "gsm8k-1", "label": -1, "problem": "line \u2028 separator, \u00e9"}]
    as_list, as_lines = (
        json.dumps(rows, indent=1),
        "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n",
    )
    expected = load(write(tmp_path / "a.json", as_list))
    assert [record.label for record in expected] == [1, -1]
    for number, content in enumerate([as_lines, "\ufeff" + as_list, as_lines.replace("\n", "\r\n")]):
        assert load(write(tmp_path / f"{number}.jsonl", content)) == expected
    packed = write(tmp_path / "named-plain.json", gzip.compress(as_list.encode()))
    assert load(packed) == expected
    assert read_data_file(packed).digest == read_data_file(tmp_path / "a.json").digest


def without(field: str) -> dict[str, Any]:
    return {key: value for key, value in ROW.items() if key != field}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (without("label"), r"row 2 \(id 'gsm8k-0'\): 'label': field required"),
        (without("steps"), "'steps': field required"),
        (without("problem"), "'problem': field required"),
        (without("id"), "row 2: 'id': field required"),
        (ROW | {"label": "1"}, "'label': input should be a valid integer"),
        (ROW | {"label": True}, "'label': input should be a valid integer"),
        (ROW | {"label": 1.0}, "'label': input should be a valid integer"),
        (ROW | {"label": None}, "'label': input should be a valid integer"),
        (ROW | {"label": 2}, "'label' = 2 is out of range.*one of its 2 steps"),
        (ROW | {"label": -2}, "'label' = -2 is out of range"),
        (ROW | {"steps": "1 + 1 = 2"}, "'steps': input should be a valid list"),
        (ROW | {"steps": []}, "'steps': list should have at least 1 item"),
        (ROW | {"steps": ["a", 3]}, r"'steps\.1': input should be a valid string"),
        (ROW | {"id": 7.5}, "row 2: 'id': input should be a valid string"),
        (ROW | {"id": True}, "row 2: 'id': input should be a valid string"),
        (ROW | {"id": "first"}, "row 2: 'id' = 'first' was used before"),
        (ROW | {"final_answer_correct": "no"}, "'final_answer_correct': input should be a valid boolean"),
        (["gsm8k-0"], "row 2: expected an object .* found list"),
        (None, "row 2: expected an object .* found null"),
    ],
)
@pytest.mark.parametrize("form", ["list", "lines"])
def test_a_wrong_row_is_named(tmp_path: Path, row: object, message: str, form: str) -> None:
    rows = [ROW | {"id": "first"}, row]
    text = json.dumps(rows) if form == "list" else "\n".join(map(json.dumps, rows))
    path = write(tmp_path / "data.json", text)
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: row 2")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no rows"),
        (b"[]", "holds no rows"),
        (b"[{]", "is not a JSON list"),
        (b"label,steps\n1,a\n", "line 1 is not JSON"),
        (json.dumps(ROW).encode() + b'\n{"id": ', "line 2 is not JSON"),
        (b"[" * 100_000, "is not a JSON list"),
        (b'{"a":' * 100_000, "line 1 is not JSON"),
        (b'[{"label": ' + b"9" * 5000 + b"}]", "is not a JSON list"),
        (b"\xff\xfe[]", "is not UTF-8"),
        (gzip.compress(b"[]" * 100)[:-12], "cannot be read"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
        (b'"text"', "row 1: expected an object .* found str"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path / "data.json", content)
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_data_file(tmp_path / "none.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_data_file(tmp_path)


@pytest.mark.parametrize("name", ["procesbench", "ProcessBench", "process-bench"])
def test_a_misspelt_benchmark_gets_the_closest(name: str) -> None:
    with pytest.raises(ConfigError, match="did you mean 'processbench'"):
        get_benchmark(name)


def test_an_unknown_benchmark_gets_the_list() -> None:
    with pytest.raises(ConfigError, match="known: processbench"):
        get_benchmark("zzz")
    assert all(name == benchmark.name for name, benchmark in benchmarks().items())


def test_a_list_of_many_rows_keeps_its_order() -> None:
    rows = [ROW | {"id": f"r{number}"} for number in range(50)]
    records = ProcessBench().load(DataFile(Path("x"), json.dumps(rows).encode()))
    assert [record.id for record in records] == [f"r{number}" for number in range(50)]
