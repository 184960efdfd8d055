"""Problems from files: their fields and answers, and what is wrong with a row or a file."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from sgpo_client.data.order import load_problems
from sgpo_client.data.problems import final_answer
from sgpo_client.data.settings import DataSettings
from sgpo_client.errors import DataError
from tests.unit.problem_rows import ids, load_row, rows, write


def test_gsm8k_train(data_dir: Path) -> None:
    settings = DataSettings(path=data_dir / "gsm8k" / "train.jsonl.gz")
    problems = {problem.id: problem for problem in load_problems(settings, "train")}
    assert len(problems) == 7473
    first = problems["train-1"]
    assert first.text.startswith("Natalia sold clips to 48 of her friends")
    assert first.answer == "72"
    assert first.solution is not None
    assert first.solution.startswith("Natalia sold 48/2")
    assert first.solution.endswith("#### 72")
    assert all(re.fullmatch(r"-?\d+(\.\d+)?", problem.answer) for problem in problems.values())


def test_fields_of_another_data_set(data_dir: Path) -> None:
    settings = DataSettings(
        path=data_dir / "math" / "math500.jsonl.gz", problem_field="problem", solution_field="solution"
    )
    problem = next(p for p in load_problems(settings, "train") if p.id == "math500-1")
    assert problem.answer == r"\left( 3, \frac{\pi}{2} \right)"
    assert problem.solution is not None
    assert problem.solution.startswith("We have that")


def test_plain_and_gzipped_are_the_same(tmp_path: Path) -> None:
    plain = write(tmp_path / "p.jsonl", rows(5))
    zipped = tmp_path / "p.jsonl.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    assert load_problems(DataSettings(path=plain), "train") == load_problems(DataSettings(path=zipped), "train")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("5", "5"),
        ("So 1,080.\n#### 1,080", "1080"),
        ("a #### b #### -109,200,000 ", "-109200000"),
        ("#### $2,125.50", "$2125.50"),
        ("(1,2)", "(1,2)"),
        ("1,23", "1,23"),
        ("{100,200,300}", "{100,200,300}"),
        ("x####", ""),
    ],
)
def test_final_answer(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(("value", "answer"), [(27.0, "27"), (3, "3"), (0.5, "0.5"), (" 12 ", "12"), (-1, "-1")])
def test_answers_may_be_numbers(tmp_path: Path, value: Any, answer: str) -> None:
    assert load_row(tmp_path, {"question": "?", "answer": value})[0].answer == answer


def test_only_a_worked_answer_is_a_solution(tmp_path: Path) -> None:
    assert load_row(tmp_path, {"question": "?", "answer": "5"})[0].solution is None
    assert load_row(tmp_path, {"question": "?", "answer": "2+3\n#### 5"})[0].solution == "2+3\n#### 5"
    assert load_row(tmp_path, {"question": "?", "answer": "5", "how": None}, solution_field="how")[0].solution is None


@pytest.mark.parametrize(
    ("row", "settings", "words"),
    [
        (
            {"problem": "?", "answer": "5"},
            {},
            ["line 1", "no field 'question'", "problem, answer", "data.problem_field"],
        ),
        ({"question": "", "answer": "5"}, {}, ["line 1", "'question' is empty"]),
        ({"question": 7, "answer": "5"}, {}, ["line 1", "'question' is of type int: 7"]),
        ({"question": "?"}, {}, ["line 1", "no field 'answer'", "data.answer_field", "data.skip_unanswered"]),
        ({"question": "?", "answer": None}, {}, ["line 1", "'answer' is empty", "data.skip_unanswered = true"]),
        ({"question": "?", "answer": " "}, {}, ["line 1", "'answer' is empty"]),
        ({"question": "?", "answer": "x ####"}, {}, ["line 1", "no answer"]),
        ({"question": "?", "answer": float("nan")}, {}, ["line 1", "no answer"]),
        (
            {"question": "?", "answer": ["5"]},
            {"skip_unanswered": True},
            ["line 1", "'answer' is of type list", "['5']"],
        ),
        ({"question": "?", "answer": True}, {}, ["line 1", "'answer' is of type bool"]),
        ({"question": "?", "answer": float("inf")}, {}, ["line 1", "'answer' is of type float: inf"]),
        ({"question": "?", "answer": "5"}, {"solution_field": "how"}, ["line 1", "no field 'how'"]),
        ({"question": "?", "answer": "5", "how": [1]}, {"solution_field": "how"}, ["'how' is of type list"]),
        ([1, 2], {}, ["line 1", "holds a list", "one JSON object"]),
    ],
)
def test_faulty_row_names_row_field_and_setting(
    tmp_path: Path, row: Any, settings: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        load_row(tmp_path, row, **settings)
    assert "p.jsonl" in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_row_number_counts_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"question": "a", "answer": "1"}\n\n{"question": "b"}\n')
    with pytest.raises(DataError, match=r"p\.jsonl line 3"):
        load_problems(DataSettings(path=path), "train")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.jsonl", None, ["no such file", "data.path"]),
        ("empty.jsonl", b"", ["holds no problem"]),
        ("blank.jsonl", b"\n\n", ["holds no problem"]),
        ("bad.jsonl", b'{"question": "a", "answer": "1"}\n{"question": ', ["line 2", "not JSON"]),
        ("array.json", b'[\n{"question": "a", "answer": "1"}]', ["line 1", "not JSON", "one JSON object"]),
        ("latin1.jsonl", b'{"question": "\xe9"}', ["line 1", "not JSON"]),
        ("deep.jsonl", b"[" * 100_000, ["line 1", "not JSON"]),
        ("plain.jsonl.gz", b"{}", ["cannot be read", "data.path"]),
        ("cut.jsonl.gz", gzip.compress(b'{"question": "a", "answer": "1"}\n' * 99)[:-9], ["cannot be read"]),
        ("folder", "folder", ["cannot be read", "data.path"]),
    ],
    ids=["missing", "empty", "blank", "bad", "array", "latin1", "deep", "plain-gz", "cut-gz", "folder"],
)
def test_unreadable_file(tmp_path: Path, name: str, content: bytes | str | None, words: list[str]) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    with pytest.raises(DataError) as caught:
        load_problems(DataSettings(path=path), "train")
    for word in [name, *words]:
        assert word in str(caught.value)


def test_unanswered_are_left_out_and_counted_when_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = [*rows(3), {"question": "a?", "answer": ""}, {"question": "b?"}]
    settings = DataSettings(path=write(tmp_path / "p.jsonl", data), skip_unanswered=True)
    assert len(load_problems(settings, "train")) == 3
    assert "2 problems without an answer left out" in caplog.text


def test_only_unanswered_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no problem .1 without an answer in 'answr'"):
        load_row(tmp_path, rows(1)[0], skip_unanswered=True, answer_field="answr")


def test_repeated_texts_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = [*rows(3), {"question": "What is  0 + 1?\n", "answer": "other"}]
    problems = load_problems(DataSettings(path=write(tmp_path / "p.jsonl", data)), "train")
    assert ids(problems) == {"p-1", "p-2", "p-3"}
    assert "1 repeated problems left out" in caplog.text
