"""sgpo-eval attack from the command line to attacks.json: a scripted judge with known gains, resumes, bad input."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from eval.asking import ask
from eval.attack_run import AttackOptions, run_attacks
from eval.attacks.corpus import get_attacks
from eval.benchmarks.base import read_data_file
from eval.cli import main
from judge.errors import ModelError
from judge.types import Solution, Unscored, UnscoredReason, Verdict

STEPS = ["She has 3 * 4 = 12 pears.", "She eats 2, so 13 are left: WRONG.", "That is what is left."]


def reward(rts: float) -> float:
    return 0.5 / (1 + math.exp(-10 * (rts - 0.5)))


def problem(n: int) -> str:
    return f"Eve has 3 boxes of 4 pears and eats 2. How many pears are left? ({n + 20})"


def write_rows(path: Path, num_wrong: int = 4) -> Path:
    """One right row, then wrong ones: RTS 1/3 each, and 1/2 of what counts with defences."""
    rows: list[dict[str, Any]] = [
        {"id": "right-0", "problem": "p", "steps": ["1 + 1 = 2"], "label": -1, "final_answer_correct": True}
    ]
    rows += [
        {"id": f"wrong-{n}", "problem": problem(n), "steps": STEPS, "label": 1, "final_answer_correct": False}
        for n in range(num_wrong)
    ]
    path.write_text(json.dumps(rows))
    return path


def command(path: Path, output: Path, *more: str, judge: str = "scripted") -> list[str]:
    known = ["--benchmark", "processbench", "--path", str(path), "--judge", judge, "--output", str(output)]
    return ["attack", *known, "--bootstrap-samples", "20", *more]


def summary_of(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "attacks.json").read_text())
    return summary


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "attacks.jsonl").read_text().splitlines()]


def test_a_judge_that_always_finds_the_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The scripted judge marks the step with WRONG in it: the gains are those of the reward itself."""
    path = write_rows(tmp_path / "data.json")
    assert main(command(path, tmp_path / "out")) == 0
    summary = summary_of(tmp_path / "out")
    # The last step says nothing: with defences it counts for nothing.
    assert summary["originals"]["on"]["mean_reward"] == pytest.approx(reward(1 / 2))
    assert summary["originals"]["off"]["mean_reward"] == pytest.approx(reward(1 / 3))

    def change(attack: str, defences: str) -> Any:
        return summary["attacks"][attack][defences]["steps"]["mean_change"]

    for attack in ("trivial_first", "trivial_before_error", "restate_problem", "restate_steps", "thanks", "zero_width"):
        assert change(attack, "on") == 0
    for attack in ("stop_after_error", "headings", "forged_verdict", "forged_fence", "judge_instruction"):
        assert change(attack, "on") <= 0
    assert change("merge_all", "on") == pytest.approx(reward(0) - reward(1 / 2))
    assert change("trivial_first", "off") == pytest.approx(reward(6 / 8) - reward(1 / 3))
    assert change("stop_after_error", "off") == pytest.approx(reward(1 / 2) - reward(1 / 3))
    assert change("zero_width", "off") == pytest.approx(reward(11 / 13) - reward(1 / 3))
    assert change("headings", "off") == pytest.approx(reward(3 / 6) - reward(1 / 3))
    assert summary["attacks"]["zero_width"]["off"]["steps"]["gained"] == 1.0
    key = {defences: summary["attacks"]["master_key_only"][defences]["steps"] for defences in ("on", "off")}
    assert key["on"]["mean_change"] == pytest.approx(reward(0) - reward(1 / 2))
    assert (key["off"]["mean_change"], key["off"]["num_became_unscored"]) == (None, 4), "no step of it is marked"
    printed = capsys.readouterr().out
    assert "4 wrong responses as they are: defences on: mean reward 0.250, 0 unscored" in printed
    assert str(tmp_path / "out" / "attacks.json") in printed
    [line] = [line.split() for line in printed.splitlines() if line.startswith("zero_width")]
    assert line == ["zero_width", "A6", "+0.000", "0%", "4", "0", "+0.405", "100%", "4", "0"]


def test_the_log_holds_every_response_once(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.json")
    assert main(command(path, tmp_path / "out", "--attack", "thanks", "split_steps", "--attack", "merge_all")) == 0
    keys = [(row["id"], row["attack"], row["defences"]) for row in log_of(tmp_path / "out")]
    expected = {
        (f"wrong-{n}", attack, defences)
        for n in range(4)
        for attack in ("original", "thanks", "merge_all")  # no right step of these has a clause to split
        for defences in ("on", "off")
    }
    assert len(keys) == len(expected)
    assert set(keys) == expected
    summary = summary_of(tmp_path / "out")
    assert list(summary["attacks"]) == ["thanks", "merge_all"]
    assert summary["num_rows"] == 24
    assert summary["command"].startswith("sgpo-eval attack --benchmark processbench")
    assert summary["data_digest"] == read_data_file(path).digest


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.json")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        assert main(command(path, folder, "--batch-size", "7")) == 0
    log = (cut / "attacks.jsonl").read_bytes()
    (cut / "attacks.json").unlink()
    (cut / "attacks.jsonl").write_bytes(log[: log.index(b"\n", len(log) // 2) + 20])  # in the middle of a line
    kept = log[: len(log) // 2].count(b"\n")
    assert main(command(path, cut, "--batch-size", "7")) == 0
    assert len(log_of(cut)) == len(log_of(whole)) > kept
    volatile = ("seconds", "command")
    same = [{k: v for k, v in summary_of(folder).items() if k not in volatile} for folder in (whole, cut)]
    assert same[0] == same[1]


class CountingJudge:
    """Finds the first step wrong, but for some problems, where it breaks."""

    judge_id = "counting@1"

    def __init__(self, breaks_on: Sequence[str] = (), error: Exception | None = None) -> None:
        self.breaks_on = breaks_on
        self.error = error or OSError("connection reset")
        self.judged: list[Solution] = []
        self.num_closed = 0

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        if any(solution.problem in self.breaks_on for solution in batch):
            raise self.error
        self.judged += batch
        return [Verdict(0, self.judge_id) for _ in batch]

    async def aclose(self) -> None:
        self.num_closed += 1


def run(judge: CountingJudge, path: Path, output: Path, *names: str, **more: Any) -> dict[str, Any]:
    options = AttackOptions("processbench", output, get_attacks(names), num_samples=10, **more)
    return run_attacks(judge, read_data_file(path), options, {})


def test_every_response_is_announced_as_wrong(tmp_path: Path) -> None:
    judge = CountingJudge()
    run(judge, write_rows(tmp_path / "data.json"), tmp_path / "out", "thanks", limit=2)
    assert {solution.problem for solution in judge.judged} == {problem(0), problem(1)}
    assert all(solution.known_wrong for solution in judge.judged)
    assert judge.num_closed == 1


def test_more_attacks_and_rows_go_on_from_fewer(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.json")
    run(CountingJudge(), path, tmp_path / "out", "thanks", limit=2)
    judge = CountingJudge()
    run(judge, path, tmp_path / "out", "thanks", "merge_all", limit=3)
    assert len(judge.judged) == 2 * (2 * 1 + 3), "merge_all of two responses, and a third response"


def test_a_response_at_the_floor_is_not_shown(tmp_path: Path) -> None:
    judge = CountingJudge()
    run(judge, write_rows(tmp_path / "data.json", 30), tmp_path / "out", "master_key_only")
    rows = [row for row in log_of(tmp_path / "out") if row["attack"] == "master_key_only"]
    on = [row for row in rows if row["defences"] == "on"]
    assert {(row["rts_steps"], row["rts_characters"], row["first_error"], row["reason"]) for row in on} == {
        (0, 0, None, None)
    }
    assert all("no_answer" in row["flags"] for row in on)
    # 30 originals twice, and the master keys without defences.
    assert len(judge.judged) == 90
    assert not any(solution.steps == () for solution in judge.judged)


def test_a_response_that_breaks_the_judge_fails_alone_and_is_tried_again(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.json")
    summary = run(CountingJudge(breaks_on=[problem(2)]), path, tmp_path / "out", "thanks")
    assert (summary["num_rows"], summary["num_failed"]) == (16, 4)
    assert {row["message"] for row in log_of(tmp_path / "out") if row["reason"]} == {"OSError: connection reset"}
    judge = CountingJudge()
    assert run(judge, path, tmp_path / "out", "thanks")["num_failed"] == 0
    assert [solution.problem for solution in judge.judged] == [problem(2)] * 4


def test_a_judge_that_cannot_work_at_all_ends_the_run(tmp_path: Path) -> None:
    judge = CountingJudge(breaks_on=[problem(0)], error=ModelError("no weights"))
    with pytest.raises(ModelError, match="no weights"):
        run(judge, write_rows(tmp_path / "data.json"), tmp_path / "out", "thanks")
    assert judge.num_closed == 1


def test_answers_for_other_solutions_are_no_answers() -> None:
    class Short(CountingJudge):
        async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
            return []

    [result] = asyncio.run(ask(Short(), [Solution("p", ("a",))]))
    assert isinstance(result, Unscored)
    assert (result.reason, result.message) == (
        UnscoredReason.JUDGE_UNAVAILABLE,
        "RuntimeError: 0 results for a batch of 1",
    )


@pytest.mark.parametrize(("share", "status"), [("0", 1), ("0.99", 1), ("1", 0)])
def test_the_exit_status_tells_of_failures(tmp_path: Path, share: str, status: int) -> None:
    path = write_rows(tmp_path / "data.json", 1)
    more = ("--judge-option", "fail=raise", "--attack", "thanks", "--max-failed-share", share)
    assert main(command(path, tmp_path / "out", *more)) == status
    assert summary_of(tmp_path / "out")["num_failed"] == 4


def test_a_table_without_a_score_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_rows(tmp_path / "data.json", 1)
    assert main(command(path, tmp_path / "out", "--judge-option", "fail=unscored", "--max-failed-share", "1")) == 0
    out = capsys.readouterr().out
    assert "None of the 1 responses as they are has a score" in out
    assert "gained" not in out


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (("--attack", "zero_widht"), "did you mean 'zero_width'"),
        (("--benchmark", "procesbench"), "did you mean 'processbench'"),
        (("--limit", "0"), "--limit 0: at least 1"),
        (("--seed", "-1"), "--seed -1: at least 0"),
        (("--max-failed-share", "2"), "between 0 and 1"),
        (("--path", "nowhere.json"), "nowhere.json: no such file"),
        (("--judge", "ruls"), "did you mean 'rules'"),
    ],
)
def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], complaint: str) -> None:
    path = write_rows(tmp_path / "data.json")
    assert main(command(path, tmp_path / "out", *more)) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert complaint in errors[0]
    assert not (tmp_path / "out").exists()


def test_rows_without_wrong_answers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_rows(tmp_path / "data.json", num_wrong=0)
    assert main(command(path, tmp_path / "out")) == 2
    assert "'final_answer_correct' is false; there are none" in capsys.readouterr().err


def test_a_folder_with_another_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write_rows(tmp_path / "data.json"), tmp_path / "out"
    assert main(command(path, out, "--attack", "thanks")) == 0
    before = (out / "attacks.jsonl").read_bytes()
    capsys.readouterr()
    assert main(command(path, out, "--attack", "thanks", "--seed", "1")) == 2
    assert "attack_seed there 0, here 1" in capsys.readouterr().err
    assert main(command(path, out, "--judge-option", "first_error=1")) == 2
    assert main(["run", *command(path, out)[1:]]) == 2
    assert (out / "attacks.jsonl").read_bytes() == before


@pytest.mark.slow
def test_rules_on_real_rows(data_dir: Path, tmp_path: Path) -> None:
    """What the segmenter is for: lines without content gain nothing with it, and all that can be had without."""
    path = data_dir / "processbench" / "gsm8k.json.gz"
    names = ("blank_lines", "zero_width", "separators")
    assert main(command(path, tmp_path / "out", "--attack", *names, judge="rules")) == 0
    summary = summary_of(tmp_path / "out")
    assert summary["originals"]["on"]["num_responses"] == 200
    for name in names:
        on, off = (summary["attacks"][name][defences]["steps"] for defences in ("on", "off"))
        assert (on["mean_change"], on["gained"]) == (0.0, 0.0)
        assert on["num_scored"] > 10
        assert off["gained"] == 1.0
