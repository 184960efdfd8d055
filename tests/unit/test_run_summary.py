"""The summary at the end of a run, and what it is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgpo_client.errors import DataError
from sgpo_client.report.intervals import newcombe, paired_change
from sgpo_client.report.run_files import change_between, read_run
from sgpo_client.report.summary import summary
from tests.unit.run_folders import eval_row, make_run, write_rows


def test_the_summary_by_hand(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "mine", [eval_row(0, "1000000000"), eval_row(2, "11"), eval_row(4, "1111110000")])
    assert summary(read_run(folder), "mine/report.html").splitlines() == [
        "Summary of mine",
        "  4 steps, 400 response tokens",
        "  0:40 in steps: sample 60%, train 30%",
        "  10.0% before, 60.0% of 10 held-out answers right after step 4: +50.0 points, 95% interval +5.5 to +77.9 "
        "(10 problems in pairs): more than chance explains",
        "  12 of 16 groups were all-negative; the judge rescued 8 of them (67%)",
        "  8 of 64 responses unscored (masked, never 0), 4 empty",
        "  3 problems left out: their prompt is too long",
        "  report: mine/report.html",
    ]


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    assert summary(read_run(tmp_path), "r").splitlines()[1:] == ["  no step was finished", "  report: r"]
    write_rows(tmp_path / "metrics.jsonl", [{"step": 1}, {"step": 2, "num_groups": 3}])
    assert summary(read_run(tmp_path), "r").splitlines()[1:] == ["  2 steps", "  report: r"]


def test_the_same_problems_are_compared_one_by_one(tmp_path: Path) -> None:
    rows = [eval_row(0, "1100-1"), eval_row(2, "0111-1"), eval_row(4, "0111-1", problems="others")]
    before, after, others = read_run(make_run(tmp_path / "run", rows)).evaluations
    paired = change_between(before, after)
    assert paired.points == pytest.approx((2 - 1) / 5)
    assert paired.interval == paired_change(2, 1, 5)
    apart = change_between(before, others)
    assert apart.points == pytest.approx((4 - 3) / 5)
    assert apart.interval == newcombe(3, 5, 4, 5)


def test_tokens_are_those_up_to_a_step(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", [], steps=3))
    assert [run.tokens_after(step) for step in (0, 1, 3, 4)] == [0, 100, 300, None]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_run(tmp_path / "none")
