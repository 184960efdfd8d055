"""Prediction files: what a line may hold, which rows they are for, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eval.benchmarks.example import Example
from eval.judged import flagged_steps
from eval.log import LogRow
from eval.predictions import (
    PredictionLine,
    ReasonLine,
    match,
    prediction_rows,
    read_lines,
    refuse_other_rows,
)
from judge.errors import DataError
from judge.types import UnscoredReason


def example(name: str, *aliases: str, label: int = 0, num_steps: int = 3) -> Example:
    return Example("p", tuple("abcdefgh"[:num_steps]), label, id=name, cluster="c", subset="s", aliases=aliases)


EXAMPLES = [example("a", "1"), example("b", "2", "both"), example("c", "both", label=-1)]


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def matched(
    names: list[str], *, allow_missing: bool = False, allow_unknown: bool = False
) -> tuple[list[str], int, int]:
    lines = {name: PredictionLine(id=name, prediction=0) for name in names}
    found = match(lines, EXAMPLES, "f", allow_missing=allow_missing, allow_unknown=allow_unknown)
    return sorted(found.by_id), found.num_missing, found.num_unknown


def test_every_row_has_its_line() -> None:
    assert matched(["c", "a", "b"]) == (["a", "b", "c"], 0, 0)


def test_other_names_of_rows() -> None:
    assert matched(["1", "2", "c"]) == (["a", "b", "c"], 0, 0)


def test_counts_of_what_is_let_pass() -> None:
    assert matched(["a"], allow_missing=True) == (["a"], 2, 0)
    assert matched(["a", "b", "c", "x", "y"], allow_unknown=True) == (["a", "b", "c"], 0, 2)


@pytest.mark.parametrize(
    ("names", "allowed", "message"),
    [
        (["a"], {}, r"f: 2 ids \('b', 'c'\) of the benchmark have no line here \(--allow-missing"),
        (["a", "b", "c", "x"], {}, r"f: 1 ids \('x'\) here are not in the benchmark \(--allow-unknown"),
        (["a", "x"], {}, "2 ids .* --allow-missing .*; 1 ids .*--allow-unknown".replace(" --", ".*--")),
        (["a", "x"], {"allow_missing": True}, r"1 ids \('x'\)"),
        (["a", "x"], {"allow_unknown": True}, r"2 ids \('b', 'c'\)"),
        (["a", "both"], {"allow_missing": True}, r"1 ids \('both'\) here are not"),
        (["a", "1"], {"allow_missing": True}, r"two lines are for the row 'a' \('1' is another name"),
        (["x"], {"allow_missing": True, "allow_unknown": True}, "no line is for a row .* its ids are like 'a'"),
    ],
)
def test_what_does_not_fit_is_counted_and_refused(names: list[str], allowed: dict[str, bool], message: str) -> None:
    with pytest.raises(DataError, match=message):
        matched(names, **allowed)


def test_lines_become_rows_of_a_log(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.jsonl",
        {"id": "a", "prediction": 2, "step_error_probs": [0.1, 0, 1], "error_steps": [2], "model": "m"},
        {"id": "b", "prediction": None},
        {"id": "c", "prediction": -1},
    )
    first, second, third = prediction_rows(read_lines(path, PredictionLine), EXAMPLES, "x")
    assert (first.id, first.label, first.prediction, first.num_steps) == ("a", 0, 2, 3)
    assert (first.subset, first.problem) == ("s", "c")
    assert (first.step_error_probs, first.error_steps) == ((0.1, 0.0, 1.0), (2,))
    assert (second.prediction, second.reason) == (None, UnscoredReason.PARSE_ERROR)
    assert (third.prediction, third.reason) == (-1, None)


def test_ids_may_be_numbers(tmp_path: Path) -> None:
    assert list(read_lines(write(tmp_path / "x.jsonl", {"id": 7, "prediction": 0}), PredictionLine)) == ["7"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"id": "a"}, "line 2: 'prediction': Field required"),
        ({"prediction": 0}, "line 2: 'id"),
        ({"id": "a", "prediction": "2"}, "line 2: 'prediction"),
        ({"id": "a", "prediction": True}, "line 2: 'prediction"),
        ({"id": "a", "prediction": 1.0}, "line 2: 'prediction"),
        ({"id": "a", "prediction": -2}, "line 2: 'prediction"),
        ({"id": "a", "prediction": 0, "step_error_probs": [0.5, 1.5]}, "line 2: 'step_error_probs.1'"),
        ({"id": "a", "prediction": 0, "error_steps": [-1]}, "line 2: 'error_steps.0'"),
        ({"id": "first", "prediction": 0}, "line 2: 'id' = 'first' was already used in line 1"),
        (["a", 0], "line 2: a JSON object is needed"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, line: Any, message: str) -> None:
    path = write(tmp_path / "x.jsonl", {"id": "first", "prediction": 0}, line)
    with pytest.raises(DataError, match=message) as caught:
        read_lines(path, PredictionLine)
    assert str(caught.value).startswith(str(path))


def test_a_file_without_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the file holds no lines"):
        read_lines(write(tmp_path / "x.jsonl"), PredictionLine)
    with pytest.raises(DataError, match="no such file"):
        read_lines(tmp_path / "none.jsonl", PredictionLine)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"step_error_probs": [0.1, 0.2]}, "id 'a': 2 'step_error_probs' for 3 steps"),
        ({"error_steps": [3]}, "id 'a': 'error_steps' has 3, of 3 steps from 0"),
    ],
)
def test_lists_must_fit_the_steps(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        prediction_rows({"a": PredictionLine(id="a", prediction=0, **fields)}, EXAMPLES, "x")


def test_an_index_beyond_the_last_step_is_kept_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    (row,) = prediction_rows({"a": PredictionLine(id="a", prediction=3)}, EXAMPLES, "x")
    assert row.prediction == 3
    assert "1 predictions name a step that is not there" in caplog.text
    assert "count from 1?" in caplog.text


def test_reasons(tmp_path: Path) -> None:
    lines = read_lines(write(tmp_path / "x.jsonl", {"id": "a", "reason_correct": True}), ReasonLine)
    assert lines["a"].reason_correct is True
    with pytest.raises(DataError, match="'reason_correct'"):
        read_lines(write(tmp_path / "x.jsonl", {"id": "a", "reason_correct": "yes"}), ReasonLine)


@pytest.mark.parametrize(("label", "num_steps"), [(1, 3), (0, 4)])
def test_a_log_of_other_rows_is_refused(label: int, num_steps: int) -> None:
    rows = {"a": LogRow(id="a", label=label, prediction=0, num_steps=num_steps)}
    with pytest.raises(DataError, match=r"row 'a' has label .* the log was made on other data"):
        refuse_other_rows(rows, EXAMPLES, "log")
    refuse_other_rows({"a": LogRow(id="a", label=0, prediction=0, num_steps=3)}, EXAMPLES, "log")


@pytest.mark.parametrize(
    ("fields", "flagged"),
    [
        ({"prediction": 1}, (1,)),
        ({"prediction": -1}, ()),
        ({"prediction": None}, None),
        ({"prediction": 1, "step_error_probs": (0.6, 0.4, 0.5)}, (0,)),
        ({"prediction": None, "step_error_probs": (0.6, 0.4, 0.7)}, None),
        ({"prediction": None, "error_steps": (1,)}, None),
        ({"prediction": 1, "blank_step": True}, ()),
        ({"prediction": 1, "step_error_probs": (0.6, 0.9)}, (1,)),
        ({"prediction": 1, "step_error_probs": (0.6, 0.4, 0.5), "error_steps": (1, 2)}, (1, 2)),
        ({"prediction": -1, "error_steps": ()}, ()),
    ],
)
def test_the_steps_that_a_judge_calls_wrong(fields: dict[str, Any], flagged: tuple[int, ...] | None) -> None:
    assert flagged_steps(LogRow(id="a", label=0, num_steps=3, **fields), 3, 0.5) == flagged
