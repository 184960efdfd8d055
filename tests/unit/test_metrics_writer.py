"""metrics.jsonl over crashes and resumes, and what the live display prints."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from sgpo_client.log.metrics import MetricsWriter, StepDisplay, format_seconds, format_step, read_metrics

STEP = {
    "step": 3,
    "reward_mean": 0.1416,
    "accuracy": 0.0625,
    "num_groups": 8,
    "all_negative_share": 0.625,
    "num_rescued": 4,
    "unscored_share": 0.03,
    "tokens_per_s": 1412.4,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def write_steps(path: Path, steps: range, resume_step: int = 0) -> None:
    writer = MetricsWriter(path, resume_step)
    for step in steps:
        writer.write({"step": step, "reward_mean": step / 10})


def steps_in(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_each_step_is_on_disk_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    writer = MetricsWriter(path)
    writer.write({"step": 1, "loss": None})
    assert path.read_text() == '{"step": 1, "loss": null}\n'
    writer.write({"step": 2, "loss": 0.5})
    assert read_metrics(path) == [{"step": 1, "loss": None}, {"step": 2, "loss": 0.5}]


@pytest.mark.parametrize("resume_step", [0, 1, 4, 6])
def test_resume_leaves_neither_gap_nor_repeat(tmp_path: Path, resume_step: int) -> None:
    path = tmp_path / "metrics.jsonl"
    write_steps(path, range(1, 7))
    write_steps(path, range(resume_step + 1, 9), resume_step)
    assert steps_in(path) == list(range(1, 9))
    assert read_metrics(path)[3] == {"step": 4, "reward_mean": 0.4}


@pytest.mark.parametrize("torn", ['{"step": 6, "rew', '{"step": 6, "x": "\udcff', "[6]", "{"])
def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "metrics.jsonl"
    write_steps(path, range(1, 6))
    with path.open("ab") as file:
        file.write(torn.encode("utf-8", "surrogateescape"))
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3, 4, 5]
    write_steps(path, range(6, 8), resume_step=5)
    assert steps_in(path) == [1, 2, 3, 4, 5, 6, 7]


def test_a_file_that_ends_too_early_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "metrics.jsonl"
    write_steps(path, range(1, 4))
    write_steps(path, range(6, 7), resume_step=5)
    assert "does not hold every step up to 5" in caplog.text
    assert steps_in(path) == [1, 2, 3, 6]


def test_not_finite_becomes_null_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricsWriter(path).write({"step": 1, "grad_norm": float("inf"), "loss": float("nan")})
    assert json.loads(path.read_text()) == {"step": 1, "grad_norm": None, "loss": None}
    assert "grad_norm is inf" in caplog.text


def test_missing_file_has_no_steps(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "none.jsonl") == []


def test_line_shows_what_people_watch() -> None:
    assert format_step(STEP, 20, 252.0) == (
        "step  3/20 | reward 0.142 | accuracy 6.2% | all-negative 62% | rescued 4 of 5 | unscored 3% | 1,412 tok/s"
        " | 4:12 left"
    )


def test_missing_values_are_left_out() -> None:
    assert format_step({"step": 1, "reward_mean": None, "num_rescued": 2}, 5, None) == "step 1/5 | rescued 2"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599.7, "1:00:00"), (7325, "2:02:05")])
def test_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_without_a_terminal_there_is_one_plain_line_per_step() -> None:
    stream = io.StringIO()
    with StepDisplay(3, stream=stream) as display:
        for step in (1, 2, 3):
            display.show({**STEP, "step": step})
    lines = stream.getvalue().splitlines()
    assert [line.split(" | ")[0] for line in lines] == ["step 1/3", "step 2/3", "step 3/3"]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", stream.getvalue())
    assert lines[-1].endswith("0:00 left")


def test_a_terminal_gets_a_bar_and_the_same_lines() -> None:
    stream = Terminal()
    with StepDisplay(4, initial_step=2, stream=stream) as display:
        display.show({**STEP, "step": 3})
        display.show({**STEP, "step": 4})
    text = stream.getvalue()
    assert "step 3/4 | reward 0.142" in text
    assert "2/4" in text
    assert "4/4" in text
    assert "training: 100%" in text


def test_a_dumb_terminal_gets_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with StepDisplay(1, stream=stream) as display:
        display.show({"step": 1})
    assert "\r" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_other_ranks_are_silent() -> None:
    stream = Terminal()
    with StepDisplay(3, rank=1, stream=stream) as display:
        display.show(STEP)
    assert stream.getvalue() == ""
