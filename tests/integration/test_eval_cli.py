"""sgpo-eval from the command line to summary.json: real rows, real judges, kills, resumes and bad input."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.benchmarks.base import read_data_file
from eval.cli import main
from eval.metrics import Sampling
from eval.report.folders import read_folders
from eval.runner import EvalOptions, run
from eval.summary import Scoring
from judge.errors import ConfigError
from judge.judges.base import Judge
from judge.types import Solution, Unscored, UnscoredReason, Usage, Verdict

VOLATILE = ("seconds", "command")


class FlakyJudge:
    """Finds the first error of every row at once, but for the rows of some problems, where it cannot be reached."""

    judge_id = "flaky@1"

    def __init__(self, unreachable: Sequence[str] = (), raising: Sequence[str] = ()) -> None:
        self.unreachable = unreachable
        self.raising = raising
        self.judged: list[Solution] = []
        self.num_closed = 0

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        if any(solution.problem in self.raising for solution in batch):
            raise OSError("connection reset")
        self.judged += batch
        return [
            Unscored(UnscoredReason.JUDGE_UNAVAILABLE, "no route", self.judge_id, usage=Usage(calls=1))
            if solution.problem in self.unreachable
            else Verdict(
                first_error=0, judge_id=self.judge_id, usage=Usage(prompt_tokens=10, completion_tokens=2, calls=1)
            )
            for solution in batch
        ]

    async def aclose(self) -> None:
        self.num_closed += 1


def write_rows(path: Path, num_rows: int = 6) -> Path:
    """Rows p0, p1, ...: every second one has an error in step 0 and a wrong answer."""
    rows = [
        {
            "id": f"r{number}",
            "problem": f"p{number}",
            "steps": ["1 + 1 = 3 WRONG" if number % 2 else "1 + 1 = 2", "so the answer is 2"],
            "label": 0 if number % 2 else -1,
            "final_answer_correct": number % 2 == 0,
        }
        for number in range(num_rows)
    ]
    path.write_text(json.dumps(rows))
    return path


def run_judge(judge: Judge, path: Path, output: Path, **options: Any) -> dict[str, Any]:
    return run(judge, read_data_file(path), EvalOptions("processbench", output, **options), {})


def command(path: Path, output: Path, *more: str, judge: str = "scripted") -> list[str]:
    known = ["--benchmark", "processbench", "--path", str(path), "--judge", judge, "--output", str(output)]
    return ["run", *known, *more]


def summary_of(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def stable(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key not in VOLATILE}


def test_scripted_judge_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_rows(tmp_path / "data.json")
    assert main(command(path, tmp_path / "out", "--batch-size", "4")) == 0
    summary = summary_of(tmp_path / "out")
    assert (summary["error_acc"], summary["correct_acc"], summary["f1"]) == (1.0, 1.0, 1.0)
    assert (summary["num_rows"], summary["num_error"], summary["num_correct"]) == (6, 3, 3)
    assert (summary["num_unscored"], summary["unscored"], summary["coverage"]) == (0, {}, 1.0)
    assert summary["benchmark"] == "processbench"
    assert summary["path"] == str(path)
    assert summary["data_digest"] == read_data_file(path).digest
    assert summary["judge_id"].startswith("scripted")
    assert summary["known_wrong"] is False
    assert summary["command"].startswith("sgpo-eval run --benchmark processbench")
    assert [row["id"] for row in log_of(tmp_path / "out")] == [f"r{number}" for number in range(6)]
    assert "F1                 100.0" in capsys.readouterr().out


def test_a_judge_option_reaches_the_judge(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.json")
    assert main(command(path, tmp_path / "out", "--judge-option", "first_error=1")) == 0
    assert [row["prediction"] for row in log_of(tmp_path / "out")] == [1] * 6
    assert (summary_of(tmp_path / "out")["error_acc"], summary_of(tmp_path / "out")["f1"]) == (0.0, 0.0)


def test_unscored_rows_count_as_wrong_and_apart(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.json")
    main(command(path, tmp_path / "out", "--judge-option", "fail=unscored", "--max-failed-share", "1"))
    summary = summary_of(tmp_path / "out")
    assert (summary["error_acc"], summary["correct_acc"], summary["f1"]) == (0.0, 0.0, 0.0)
    assert (summary["num_unscored"], sum(summary["unscored"].values()), summary["coverage"]) == (6, 6, 0.0)


def test_rules_on_real_rows_survive_a_kill(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "processbench" / "gsm8k.json.gz"
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    options = ("--limit", "60", "--batch-size", "7")
    for folder in (whole, cut):
        assert main(command(path, folder, *options, judge="rules")) == 0
    log = (cut / "log.jsonl").read_bytes()
    (cut / "summary.json").unlink()
    (cut / "log.jsonl").write_bytes(log[: log.index(b"\n", len(log) // 2) + 20])  # in the middle of a line
    assert main(command(path, cut, *options, judge="rules")) == 0
    assert stable(summary_of(cut)) == stable(summary_of(whole))
    assert [row["id"] for row in log_of(cut)] == summary_of(whole)["drawn"]
    assert len(set(summary_of(whole)["drawn"])) == 60
    labels = {row["id"]: row["label"] for row in json.loads(gzip.decompress(path.read_bytes()))}
    assert all(labels[row["id"]] == row["label"] for row in log_of(cut))


def test_a_longer_limit_goes_on_from_the_shorter(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.json", 10)
    first, second = FlakyJudge(), FlakyJudge()
    assert run_judge(first, path, tmp_path / "out", limit=4)["num_rows"] == 4
    assert run_judge(second, path, tmp_path / "out")["num_rows"] == 10
    asked = [[solution.problem for solution in judge.judged] for judge in (first, second)]
    assert (len(asked[0]), len(asked[1])) == (4, 6)
    assert {*asked[0], *asked[1]} == {f"p{number}" for number in range(10)}
    none = FlakyJudge()
    assert run_judge(none, path, tmp_path / "out", limit=3)["num_rows"] == 3
    assert not none.judged
    assert len(log_of(tmp_path / "out")) == 10
    assert read_folders([tmp_path / "out"]).judges[0].summary.num_rows == 3


def test_two_draws_are_not_mixed_in_one_log(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.json", 10)
    options = EvalOptions("processbench", tmp_path / "out", limit=4)
    run(FlakyJudge(), read_data_file(path), options, {})
    before = (tmp_path / "out" / "log.jsonl").read_bytes()
    other = replace(options, scoring=Scoring(sampling=Sampling(seed=1)))
    with pytest.raises(ConfigError, match=r"log.jsonl: holds \d rows that this run leaves out.*another --seed"):
        run(FlakyJudge(), read_data_file(path), other, {})
    assert (tmp_path / "out" / "log.jsonl").read_bytes() == before


def test_rows_at_which_the_judge_was_unavailable_are_tried_again(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.json")
    judge = FlakyJudge(unreachable=["p1", "p4"])
    summary = run_judge(judge, path, tmp_path / "out", batch_size=2)
    assert (summary["num_failed"], summary["unscored"], summary["coverage"]) == (2, {"judge_unavailable": 2}, 4 / 6)
    assert judge.num_closed == 1
    again = FlakyJudge()
    summary = run_judge(again, path, tmp_path / "out", batch_size=2)
    assert [solution.problem for solution in again.judged] == ["p1", "p4"]
    assert (summary["num_unscored"], summary["error_acc"]) == (0, 1.0)
    assert sorted(row["id"] for row in log_of(tmp_path / "out")) == [f"r{number}" for number in range(6)]
    assert summary["usage"] == {"prompt_tokens": 60, "completion_tokens": 12, "calls": 6}


def test_a_row_that_breaks_the_judge_costs_only_itself(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.json")
    judge = FlakyJudge(raising=["p2"])
    summary = run_judge(judge, path, tmp_path / "out", batch_size=4)
    assert summary["unscored"] == {"judge_unavailable": 1}
    assert [row["id"] for row in log_of(tmp_path / "out")] == [f"r{number}" for number in range(6)]
    (failed,) = [row for row in log_of(tmp_path / "out") if row["reason"]]
    assert (failed["id"], failed["message"], failed["prediction"]) == ("r2", "OSError: connection reset", None)
    assert [solution.problem for solution in judge.judged] == ["p0", "p1", "p3", "p4", "p5"]


@pytest.mark.parametrize(("share", "status"), [("0", 1), ("0.99", 1), ("1", 0)])
def test_the_exit_status_tells_of_failed_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], share: str, status: int
) -> None:
    path = write_rows(tmp_path / "data.json")
    more = ("--judge-option", "fail=raise", "--max-failed-share", share)
    assert main(command(path, tmp_path / "out", *more)) == status
    assert summary_of(tmp_path / "out")["num_failed"] == 6
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == status
    assert all("did not answer on 6 of 6 rows" in line for line in errors)


def test_known_wrong_asks_about_wrong_answers_only(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.json")
    judge = FlakyJudge()
    summary = run_judge(judge, path, tmp_path / "out", known_wrong=True)
    assert [(solution.problem, solution.known_wrong) for solution in judge.judged] == [
        (problem, True) for problem in ("p1", "p3", "p5")
    ]
    assert (summary["error_acc"], summary["correct_acc"], summary["f1"]) == (1.0, None, None)
    cold = FlakyJudge()
    run_judge(cold, path, tmp_path / "cold")
    assert not any(solution.known_wrong for solution in cold.judged)


def test_a_folder_with_another_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write_rows(tmp_path / "data.json"), tmp_path / "out"
    assert main(command(path, out)) == 0
    before = (out / "log.jsonl").read_bytes(), (out / "summary.json").read_bytes()
    other_data = write_rows(tmp_path / "other.json", 8)
    cases = [
        (command(path, out, "--judge-option", "first_error=1"), ["judge_id there 'scripted", "here 'scripted"]),
        (command(other_data, out), [read_data_file(path).digest, read_data_file(other_data).digest]),
        (command(path, out, "--known-wrong"), ["known_wrong there False, here True"]),
    ]
    for arguments, names in cases:
        capsys.readouterr()
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: --output {out}: holds another run")
        assert error.count("\n") == 1
        assert all(name in error for name in names), error
    assert before == ((out / "log.jsonl").read_bytes(), (out / "summary.json").read_bytes())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--benchmark": "procesbench"}, "did you mean 'processbench'"),
        ({"--path": "missing.json"}, "missing.json: no such file"),
        ({"--judge": "rulez"}, "rules"),
        ({"--judge-option": "no-equals-sign"}, "no-equals-sign"),
        ({"--judge-option": "frist_error=1"}, "first_error"),
        ({"--limit": "0"}, "--limit 0: at least 1 is needed"),
        ({"--batch-size": "-1"}, "--batch-size -1: at least 1 is needed"),
        ({"--max-failed-share": "2"}, "--max-failed-share 2.0: give a share between 0 and 1"),
        ({"--path": "bad-label.json"}, "bad-label.json: row 1 (id 'a'): 'label' = 9 is out of range"),
        ({"--path": "answers.json", "--known-wrong": None}, "--known-wrong needs rows"),
        ({"--output": "data.json"}, "--output data.json: cannot be used"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str | None],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "data.json")
    row = {"id": "a", "problem": "p", "steps": ["s"], "label": 9}
    (tmp_path / "bad-label.json").write_text(json.dumps([row]))
    (tmp_path / "answers.json").write_text(json.dumps([row | {"label": -1, "final_answer_correct": True}]))
    usual = {"--benchmark": "processbench", "--path": "data.json", "--judge": "scripted", "--output": "out"}
    arguments = [part for pair in (usual | changes).items() for part in pair if part is not None]
    assert main(["run", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error


def test_list_names_benchmarks_and_judges(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("processbench", "rules", "critic", "scripted"))


def test_help_is_quick_and_light() -> None:
    code = (
        "import sys\nfrom eval.cli import main\n"
        "try:\n    main(['run', '--help'])\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "assert not {'torch', 'transformers', 'pydantic', 'tqdm'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "--max-failed-share" in done.stdout


def test_the_module_runs(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.json")
    arguments = [sys.executable, "-m", "eval", *command(path, tmp_path / "out")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "out" / "summary.json") in done.stdout
