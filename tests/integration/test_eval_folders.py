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
