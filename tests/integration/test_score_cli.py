"""sgpo-eval score and compare from the command line: the published formula by value, bad input, and a broken judge."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.benchmarks.base import read_data_file
from eval.cli import main
from eval.metrics import Sampling
from eval.runner import EvalOptions, run
from eval.summary import Scoring
from judge.types import Solution, Unscored, Verdict

FEW = ("--bootstrap-samples", "20")


def write_lines(path: Path, lines: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_data(path: Path, num_rows: int = 12) -> Path:
    """Rows p0, p1, ...: every second one has an error in step 1 and a wrong answer."""
    rows = [
        {
            "id": f"r{number}",
            "problem": f"p{number}",
            "steps": ["1 + 1 = 2", "2 + 2 = 5" if number % 2 else "2 + 2 = 4", "so"],
            "label": 1 if number % 2 else -1,
            "final_answer_correct": number % 2 == 0,
        }
        for number in range(num_rows)
    ]
    path.write_text(json.dumps(rows))
    return path


def predictions(num_rows: int = 12) -> list[dict[str, Any]]:
    """Right but for r1 (step 2), r3 (unreadable) and r0 (a false alarm)."""
    said: dict[int, int | None] = {1: 2, 3: None, 0: 0}
    return [{"id": f"r{n}", "prediction": said.get(n, 1 if n % 2 else -1)} for n in range(num_rows)]


def score(path: Path, output: Path, *more: str, benchmark: str = "processbench") -> int:
    return main(["score", "--benchmark", benchmark, "--path", str(path), "--output", str(output), *FEW, *more])


def summary_of(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


def published(rows: list[dict[str, Any]], said: dict[str, int | None]) -> dict[str, float]:
    """The end of ProcessBench's script, in shares instead of percent."""
    matched = [row | {"match": said[row["id"]] == row["label"]} for row in rows]
    acc1 = np.mean([row["match"] for row in matched if row["label"] != -1])
    acc2 = np.mean([row["match"] for row in matched if row["label"] == -1])
    return {"error_acc": float(acc1), "correct_acc": float(acc2), "f1": float(2 * acc1 * acc2 / (acc1 + acc2))}


def test_predictions_give_the_published_numbers(data_dir: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    files, said = {}, {}
    for name in ("gsm8k", "math"):
        rows = json.loads(gzip.decompress((data_dir / "processbench" / f"{name}.json.gz").read_bytes()))
        for row in rows:
            if row["id"] == "math-688":
                row["label"] = 0  # as upstream corrected it
        files[name] = rows
        said |= {row["id"]: rng.choice([row["label"], -1, 0, 1, None]) for row in rows}
    lines = [{"id": name, "prediction": prediction} for name, prediction in said.items()]
    path = write_lines(tmp_path / "x.jsonl", lines)
    assert score(data_dir / "processbench", tmp_path / "out", "--predictions", str(path)) == 0
    summary = summary_of(tmp_path / "out")
    expected = {name: published(rows, said) for name, rows in files.items()}
    for name, figures in expected.items():
        found = summary["by_subset"][name]
        assert {figure: found[figure] for figure in figures} == pytest.approx(figures, rel=1e-12)
    assert summary["mean_f1"] == pytest.approx((expected["gsm8k"]["f1"] + expected["math"]["f1"]) / 2, rel=1e-12)
    whole = published(files["gsm8k"] + files["math"], said)
    assert {figure: summary[figure] for figure in whole} == pytest.approx(whole, rel=1e-12)


def test_the_folder_is_like_that_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_lines(tmp_path / "mine.jsonl", predictions())
    assert score(write_data(tmp_path / "data.json"), tmp_path / "out", "--predictions", str(path)) == 0
    summary = summary_of(tmp_path / "out")
    assert (summary["error_acc"], summary["correct_acc"]) == (4 / 6, 5 / 6)
    assert (summary["num_unscored"], summary["num_missing"], summary["num_unknown"]) == (1, 0, 0)
    assert summary["judge_id"].startswith("mine.jsonl@")
    assert summary["data_digest"] == read_data_file(tmp_path / "data.json").digest
    assert summary["command"].startswith("sgpo-eval score --benchmark processbench")
    assert {"version", "commit", "uncommitted_changes", "seed"} <= set(summary)
    printed = capsys.readouterr().out
    assert "error accuracy      66.7" in printed
    assert "unscored               1  1 parse_error" in printed
    assert score(tmp_path / "data.json", tmp_path / "again", "--log", str(tmp_path / "out")) == 0
    again = summary_of(tmp_path / "again")
    changing = ("command", "scored_from")
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in summary.items() if k not in changing
    }


def test_a_log_is_scored_as_the_run_was(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "data.json"), tmp_path / "out"
    known = ["--benchmark", "processbench", "--path", str(data), "--judge", "scripted", "--output", str(out)]
    assert main(["run", *known, "--known-wrong", "--judge-option", "first_error=1", *FEW]) == 0
    before, log = summary_of(out), (out / "log.jsonl").read_bytes()
    assert (before["num_rows"], before["error_acc"]) == (6, 1.0)
    assert score(data, out, "--log", str(out)) == 0
    after = summary_of(out)
    assert (after["known_wrong"], after["judge_id"]) == (True, before["judge_id"])
    assert {k: after[k] for k in before if k != "command"} == {k: v for k, v in before.items() if k != "command"}
    assert (out / "log.jsonl").read_bytes() == log


def test_a_log_that_has_grown_is_copied_again(tmp_path: Path) -> None:
    data, out, copy = write_data(tmp_path / "data.json"), tmp_path / "out", tmp_path / "copy"
    command = ["run", "--benchmark", "processbench", "--path", str(data), "--judge", "scripted", "--output", str(out)]
    for more, num_rows in ((("--limit", "4"), 4), ((), 12)):
        assert main([*command, *FEW, *more]) == 0
        assert score(data, copy, "--log", str(out), "--allow-missing") == 0
        assert summary_of(copy)["num_rows"] == num_rows
        logs = [(folder / "log.jsonl").read_text().splitlines() for folder in (copy, out)]
        assert sorted(logs[0]) == sorted(logs[1])


@pytest.mark.parametrize(
    ("lines", "more", "message"),
    [
        (predictions()[:10], (), "2 ids ('r10', 'r11') of the benchmark have no line here (--allow-missing"),
        ([*predictions(), {"id": "z", "prediction": 0}], (), "1 ids ('z') here are not in the benchmark"),
        ([*predictions(), {"id": "r0", "prediction": 0}], (), "line 13: 'id' = 'r0' was already used in line 1"),
        ([{"id": "r0", "prediction": "1"}], (), "line 1: 'prediction'"),
        ([{"id": "r0"}], (), "line 1: 'prediction': Field required"),
        (predictions(), ("--step-threshold", "2"), "--step-threshold 2.0: give a probability"),
        (predictions(), ("--seed", "-1"), "--seed -1: must not be negative"),
        (predictions(), ("--bootstrap-samples", "-5"), "--bootstrap-samples -5"),
        (predictions(), ("--reasons", "none.jsonl"), "none.jsonl: no such file"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[object], more: tuple[str, ...], message: str
) -> None:
    path = write_lines(tmp_path / "x.jsonl", lines)
    data = write_data(tmp_path / "data.json")
    assert score(data, tmp_path / "out", "--predictions", str(path), *more) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


def test_what_is_let_pass_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [*predictions()[:10], {"id": "z", "prediction": 0}]
    path = write_lines(tmp_path / "x.jsonl", lines)
    data, more = write_data(tmp_path / "data.json"), ("--allow-missing", "--allow-unknown")
    assert score(data, tmp_path / "out", "--predictions", str(path), *more) == 0
    summary = summary_of(tmp_path / "out")
    assert (summary["num_rows"], summary["num_missing"], summary["num_unknown"]) == (10, 2, 1)
    assert summary["error_acc"] == 3 / 5
    printed = capsys.readouterr().out
    assert "rows that were not scored: 2" in printed
    assert "lines for rows that are not there: 1" in printed


def test_a_folder_with_another_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, path = write_data(tmp_path / "data.json"), write_lines(tmp_path / "x.jsonl", predictions())
    assert score(data, tmp_path / "out", "--predictions", str(path)) == 0
    before = (tmp_path / "out" / "summary.json").read_bytes()
    write_lines(path, [line | {"prediction": -1} for line in predictions()])
    for more in ((), ("--judge-id", "same")):
        assert score(data, tmp_path / "out", "--predictions", str(path), *more) == 2
        assert "holds another run (judge_id there 'x.jsonl@" in capsys.readouterr().err
    assert (tmp_path / "out" / "summary.json").read_bytes() == before


def test_a_log_of_other_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, path = write_data(tmp_path / "data.json"), write_lines(tmp_path / "x.jsonl", predictions())
    assert score(data, tmp_path / "out", "--predictions", str(path)) == 0
    rows = json.loads(data.read_text())
    rows[1]["label"] = 2
    data.write_text(json.dumps(rows))
    assert score(data, tmp_path / "more", "--log", str(tmp_path / "out" / "log.jsonl")) == 2
    assert "row 'r1' has label 1 and 3 steps" in capsys.readouterr().err


def test_a_log_that_was_cut_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, path = write_data(tmp_path / "data.json"), write_lines(tmp_path / "x.jsonl", predictions())
    assert score(data, tmp_path / "out", "--predictions", str(path)) == 0
    log = tmp_path / "cut.jsonl"
    log.write_bytes((tmp_path / "out" / "log.jsonl").read_bytes()[:-20])
    assert score(data, tmp_path / "more", "--log", str(log)) == 2
    assert "1 ids ('r11') of the benchmark have no line here" in capsys.readouterr().err
    assert score(data, tmp_path / "more", "--log", str(log), "--allow-missing") == 0
    assert summary_of(tmp_path / "more")["num_missing"] == 1
    log.write_bytes(b"not json\n" + log.read_bytes())
    assert score(data, tmp_path / "worse", "--log", str(log), "--allow-missing") == 2
    assert "cut.jsonl: line 1 is not a row of a log" in capsys.readouterr().err


def test_reasons_and_other_names_on_the_real_sample(data_dir: Path, tmp_path: Path) -> None:
    """Upstream's uuid names a row; every second located error was explained well."""
    rows = json.loads((data_dir / "mr_gsm8k" / "sample.json").read_text())
    said = write_lines(
        tmp_path / "said.jsonl",
        [{"id": row["uuid"], "prediction": int(row["model_output_solution_first_error_step"]) - 1} for row in rows],
    )
    grades = write_lines(
        tmp_path / "grades.jsonl",
        [{"id": row["uuid"], "reason_correct": number % 2 == 0} for number, row in enumerate(rows)],
    )
    arguments = ("--predictions", str(said), "--reasons", str(grades))
    assert score(data_dir / "mr_gsm8k" / "sample.json", tmp_path / "out", *arguments, benchmark="mr_gsm8k") == 0
    summary = summary_of(tmp_path / "out")
    # no right solution in the sample: no correlation
    assert (summary["step_acc"], summary["reason_acc"], summary["mcc"]) == (1.0, 0.5, 0.0)
    assert summary["mr_score"] == pytest.approx(0.3 + 0.25)


def test_compare_two_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_data(tmp_path / "data.json")
    for name, lines in (("a", predictions()), ("b", [line | {"prediction": 1} for line in predictions()])):
        path = write_lines(tmp_path / f"{name}.jsonl", lines)
        assert score(data, tmp_path / name, "--predictions", str(path)) == 0
    capsys.readouterr()
    where = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main(["compare", *where, "--output", str(tmp_path / "c" / "ab.json"), *FEW]) == 0
    found = json.loads((tmp_path / "c" / "ab.json").read_text())
    assert found["difference"]["error_acc"] == pytest.approx(1 - 4 / 6)
    assert found["difference"]["correct_acc"] == pytest.approx(-5 / 6)
    assert found["mcnemar"]["correct"]["only_a"] == 5
    assert found["mcnemar"]["correct"]["p_value"] == pytest.approx(2 / 2**5)
    printed = capsys.readouterr().out
    assert "12 rows of 12 problems" in printed
    assert "McNemar, correct rows: only A right 5, only B right 0, p = 0.0625" in printed
    assert main(["compare", where[0], str(tmp_path / "none"), *FEW]) == 2
    assert "none: no such file" in capsys.readouterr().err


class BreaksAtRow700:
    """Answers at once, and crashes on one problem."""

    judge_id = "breaks@1"

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        if any(solution.problem == "p699" for solution in batch):
            raise RuntimeError("out of memory")
        return [Verdict(first_error=1, judge_id=self.judge_id) for _ in batch]

    async def aclose(self) -> None:
        pass


def test_a_judge_that_crashes_on_row_700_loses_nothing_else(tmp_path: Path) -> None:
    data = read_data_file(write_data(tmp_path / "data.json", 720))
    scoring = Scoring(sampling=Sampling(num_samples=0))
    summary = run(BreaksAtRow700(), data, EvalOptions("processbench", tmp_path / "out", scoring=scoring), {})
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [row["id"] for row in log] == [f"r{number}" for number in range(720)]
    assert [(row["id"], row["message"]) for row in log if row["prediction"] is None] == [
        ("r699", "RuntimeError: out of memory")
    ]
    assert (summary["num_failed"], summary["num_unscored"], summary["error_acc"]) == (1, 1, 359 / 360)
