"""``sgpo-train compare``: the table, the page, and what it refuses or says of runs that do not fit together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sgpo_client.errors import DataError
from sgpo_client.report.compare import compare, main, names, warnings, write_comparison
from sgpo_client.report.run_files import change_between
from sgpo_client.train import main as train_main
from tests.unit.run_folders import eval_row, make_run

BEFORE, HALF, MOST = "1" + "0" * 19, "1" * 10 + "0" * 10, "1" * 18 + "0" * 2


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    first = make_run(tmp_path / "grpo", [eval_row(0, BEFORE), eval_row(4, HALF)])
    second = make_run(tmp_path / "sgpo", [eval_row(0, BEFORE), eval_row(2, HALF), eval_row(4, MOST)])
    return [first, second]


def test_differences_are_against_the_first_run(runs: list[Path]) -> None:
    first, second = compare(runs)
    assert first.change is None
    assert first.last is not None
    assert second.last is not None
    assert second.change == change_between(first.last, second.last)
    assert second.change is not None
    assert second.change.points == pytest.approx(0.4)
    assert (first.steps_to_target, first.tokens_to_target) == (4, 400)
    assert (second.steps_to_target, second.tokens_to_target) == (2, 200)
    assert warnings([first, second]) == []


def test_the_command_prints_a_table_and_writes_the_page(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert train_main(["compare", *map(str, runs), "--output", str(page)]) == 0
    out = capsys.readouterr().out
    head, grpo, sgpo, change, path = out.splitlines()
    assert " ".join(head.split()) == "run algorithm steps tokens accuracy (95% interval) steps, tokens to 50.0%"
    assert "50.0% (29.9% to 70.1%, n = 20)" in grpo
    assert grpo.endswith("4, 400")
    assert sgpo.endswith("2, 200")
    assert change.startswith("sgpo against grpo: +40.0 points, 95% interval +")
    assert path == str(page)
    html = page.read_text()
    assert html.count("<svg") == 6  # accuracy by step and by tokens, and the four metrics that the runs have
    assert "by tokens" in html
    assert "#00fe" not in html
    assert not re.search(r'(?:href|src)="(?!#)', html)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_other_problems_and_other_lengths_are_said(runs: list[Path], tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", [eval_row(0, "10", "others"), eval_row(3, "11", "others")], steps=3)
    silent = make_run(tmp_path / "silent", [])
    said = warnings(compare([runs[0], other, silent]))
    assert len(said) == 3
    assert "grpo and other were not evaluated on the same problems" in said[0]
    assert "grpo was last evaluated after step 4, other after 3" in said[1]
    assert "silent has no evaluation" in said[2]


def test_a_target_that_is_never_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    high, low = (make_run(tmp_path / name, [eval_row(4, marks)]) for name, marks in (("a", MOST), ("b", HALF)))
    assert main([str(high), str(low)]) == 0
    assert capsys.readouterr().out.splitlines()[2].endswith("never")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path / "none", "no such folder"),
        (lambda path: path, "not a run folder"),
    ],
)
def test_what_is_no_run_is_refused(
    make, words: str, runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main([str(runs[0]), str(make(tmp_path / "empty"))]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert "empty" in error


def test_one_run_and_a_place_that_cannot_be_written(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match="1 runs: give 2 to 10"):
        compare(runs[:1])
    assert main([*map(str, runs), "--output", str(tmp_path / "no" / "page.html")]) == 2
    assert "--output" in capsys.readouterr().err


def test_any_name_of_a_folder_is_shown_as_it_is(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / name, [eval_row(4, HALF)], reward_mean=None) for name in ("a$b$^", "_x", "<i>&y")]
    page = write_comparison(compare(folders), tmp_path / "page.html").read_text()
    for shown in (">a$b$^<", "> _x<", ">&lt;i&gt;&amp;y<"):
        assert page.count(shown) >= 2, shown  # in the legends
    assert "<i>" not in page.replace('<i style="left', "")


def test_the_same_folder_twice_is_no_endless_search_for_names() -> None:
    assert names([Path("/a/run")] * 2) == ["//a/run"] * 2


def test_it_needs_no_torch(runs: list[Path], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom sgpo_client.train import main\n"
        f"assert main(['compare', {str(runs[0])!r}, {str(runs[1])!r}, '--output', {str(tmp_path / 'p.html')!r}]) == 0\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
