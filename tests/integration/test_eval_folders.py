"""What is in an evaluation's folder is never lost to another command."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from eval.cli import main
from tests.integration.test_score_cli import score, summary_of, write_data, write_lines


def test_a_log_is_never_replaced_by_a_shorter_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, full, small = write_data(tmp_path / "data.json"), tmp_path / "full", tmp_path / "small"
    run = ["run", "--benchmark", "processbench", "--path", str(data), "--judge", "rules"]
    assert main([*run, "--output", str(full)]) == 0
    assert main([*run, "--limit", "5", "--output", str(small)]) == 0
    before = (full / "log.jsonl").read_bytes()
    capsys.readouterr()
    assert score(data, full, "--log", str(small), "--allow-missing") == 2
    assert "holds 7 rows that would be lost" in capsys.readouterr().err
    assert (full / "log.jsonl").read_bytes() == before


def test_a_cold_log_does_not_become_a_known_wrong_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, cold = write_data(tmp_path / "data.json"), tmp_path / "cold"
    run = ["run", "--benchmark", "processbench", "--path", str(data), "--judge", "rules"]
    assert main([*run, "--output", str(cold)]) == 0
    assert score(data, tmp_path / "out", "--log", str(cold), "--known-wrong", "--allow-unknown") == 2
    assert "was not told that the rows are wrong" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["log.jsonl", "summary.json", "run.json", ""])
def test_a_comparison_replaces_nothing_of_a_run(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, one = write_data(tmp_path / "data.json"), tmp_path / "one"
    assert (
        main(["run", "--benchmark", "processbench", "--path", str(data), "--judge", "rules", "--output", str(one)]) == 0
    )
    before = {path.name: path.read_bytes() for path in one.iterdir()}
    assert main(["compare", str(one), str(one), "--output", str(one / name)]) == 2
    assert "give a file of its own" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in one.iterdir()} == before


def test_a_damaged_marker_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, one = write_data(tmp_path / "data.json"), tmp_path / "one"
    one.mkdir()
    (one / "run.json").write_text("[]")
    assert (
        main(["run", "--benchmark", "processbench", "--path", str(data), "--judge", "rules", "--output", str(one)]) == 2
    )
    assert "run.json is no marker of a run" in capsys.readouterr().err


def test_a_mean_over_subsets_needs_them_all(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "processbench" / "gsm8k.json.gz"
    lines = [{"id": row["id"], "prediction": row["label"]} for row in json.loads(gzip.decompress(path.read_bytes()))]
    one = write_lines(tmp_path / "gsm8k.jsonl", lines)
    assert score(data_dir / "processbench", tmp_path / "out", "--predictions", str(one), "--allow-missing") == 0
    summary = summary_of(tmp_path / "out")
    assert (summary["f1"], summary["mean_f1"], summary["num_missing"]) == (1.0, None, 1000)


def test_a_limit_draws_from_every_file(data_dir: Path, tmp_path: Path) -> None:
    run = ["run", "--benchmark", "processbench", "--path", str(data_dir / "processbench"), "--judge", "rules"]
    drawn = {}
    for name, seed in (("a", "0"), ("again", "0"), ("b", "1")):
        assert main([*run, "--limit", "6", "--seed", seed, "--output", str(tmp_path / name)]) == 0
        drawn[name] = summary_of(tmp_path / name)["drawn"]
        assert {part: found["num_rows"] for part, found in summary_of(tmp_path / name)["by_subset"].items()} == {
            "gsm8k": 3,
            "math": 3,
        }
    assert drawn["a"] == drawn["again"] != drawn["b"]


def test_a_table_of_attacks_is_never_replaced_by_a_smaller_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_data(tmp_path / "data.json"), tmp_path / "out"
    attack = ["attack", "--benchmark", "processbench", "--path", str(data), "--judge", "rules", "--output", str(out)]
    attack += ["--attack", "thanks"]
    assert main(attack) == 0
    before = (out / "attacks.json").read_bytes()
    assert main([*attack, "--limit", "2"]) == 2
    assert "attacks.json: is about 24 judged responses, this one would be about 8" in capsys.readouterr().err
    assert (out / "attacks.json").read_bytes() == before
    assert main([*attack, "thinking_only"]) == 0


def test_the_report_of_a_file_names_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, one = write_data(tmp_path / "data.json"), tmp_path / "one"
    run = ["run", "--benchmark", "processbench", "--path", str(data), "--judge", "rules", "--output", str(one)]
    assert main(run) == 0
    assert main(["report", str(one / "log.jsonl"), "--output", str(tmp_path / "page.html")]) == 2
    assert f"log.jsonl: is a file; give its folder: {one}" in capsys.readouterr().err


def test_blank_steps_and_left_out_rows_are_on_the_page(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "problem": "p", "steps": ["1 + 1 = 2", " ", "2 + 2 = 5"], "label": 2},
        {"id": "b", "problem": "q", "steps": ["1 + 1 = 2"], "label": None},
        {"id": "c", "problem": "r", "steps": ["1 + 1 = 2"], "label": -1},
    ]
    data, out = write_lines(tmp_path / "data.jsonl", rows), tmp_path / "out"
    said = write_lines(tmp_path / "said.jsonl", [{"id": "a", "prediction": 2}, {"id": "c", "prediction": -1}])
    assert score(data, out, "--predictions", str(said), benchmark="records") == 0
    summary = summary_of(out)
    assert (summary["f1"], summary["repaired"], summary["dropped"]) == (
        1.0,
        {"empty steps removed": 1},
        {"no label": 1},
    )
    assert main(["report", str(out), "--output", str(tmp_path / "page.html")]) == 0
    for page in ("page.html", "page.md"):
        text = (tmp_path / page).read_text()
        assert "1 empty steps removed" in text
        assert "1 no label" in text


def test_a_log_of_predictions_keeps_what_they_said_of_blank_steps(tmp_path: Path) -> None:
    rows = [{"id": "a-1", "problem": "p", "steps": ["x", "", "y"], "label": 2}]
    data = write_lines(tmp_path / "data.jsonl", rows)
    said = write_lines(tmp_path / "said.jsonl", [{"id": "a-1", "prediction": 1}])
    assert score(data, tmp_path / "out", "--predictions", str(said)) == 0
    assert score(data, tmp_path / "again", "--log", str(tmp_path / "out")) == 0
    for name in ("out", "again"):
        found = summary_of(tmp_path / name)
        assert (found["error_acc"], found["within_one_acc"], found["num_blank_steps"]) == (0.0, 1.0, 1)
