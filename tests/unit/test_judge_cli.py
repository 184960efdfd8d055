"""``sgpo-judge run`` and ``show``, with the scripted judge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from judge.cli import main

PLAIN = {"problem": "1+1?", "steps": ["1+1=2", "so 3, WRONG", "done"], "id": "plain"}
RIGHT = {"problem": "1+1?", "steps": ["1+1=2", "done"], "id": "right"}
KNOWN = RIGHT | {"id": "known", "final_answer_correct": False}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Three rows, and the name of an output in a folder that does not exist yet."""
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (PLAIN, RIGHT, KNOWN)))
    return path, tmp_path / "new" / "out.jsonl"


def run(files: tuple[Path, Path], *more: str) -> int:
    judge = [] if "--judge" in more else ["--judge", "scripted"]
    return main(["run", *judge, "--input", str(files[0]), "--output", str(files[1]), *more])


def lines(path: Path) -> dict[str, dict[str, Any]]:
    return {line["id"]: line for line in map(json.loads, path.read_text().splitlines())}


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of the refusal."""
    said = [line for line in capsys.readouterr().err.splitlines() if line and not line.startswith("judge:")]
    assert len(said) == 1
    assert said[0].startswith("error: ")
    return said[0]


def test_one_verdict_a_line(files: tuple[Path, Path]) -> None:
    assert run(files) == 0
    found = lines(files[1])
    assert list(found) == ["plain", "right", "known"]
    plain = found["plain"]
    assert (plain["status"], plain["first_error"], plain["num_steps"], plain["error"]) == ("judged", 1, 3, None)
    assert plain["rts"] == pytest.approx(1 / 3)
    assert (found["right"]["first_error"], found["right"]["rts"]) == (None, 1.0)
    known = found["known"]
    assert (known["status"], known["first_error"], known["rts"]) == ("unscored", None, None)
    assert known["error"]["code"] == "no_error_found"
    assert set(plain) == {
        *("id", "status", "first_error", "num_steps", "expected_rts", "rts", "paid_rts", "confidence"),
        *("step_error_probs", "critique", "error", "judge_id", "input", "usage", "latency_s"),
    }


def test_known_wrong_option(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "--known-wrong") == 0
    assert lines(files[1])["right"]["error"]["code"] == "no_error_found"
    files[0].write_text(json.dumps(RIGHT | {"final_answer_correct": True}))
    capsys.readouterr()
    assert run(files, "--known-wrong") == 2
    assert "'right'" in refused(capsys)


@pytest.mark.parametrize("cut", [1, 10, 200])
def test_resumes_after_a_torn_line(files: tuple[Path, Path], cut: int) -> None:
    assert run(files, "--batch-size", "1") == 0
    whole = files[1].read_text()
    files[1].write_text(whole[:-cut])
    assert run(files) == 0
    assert [json.loads(line) for line in files[1].read_text().splitlines()] == [
        json.loads(line) for line in whole.splitlines()
    ]


def test_rows_that_are_there_are_not_judged_again(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files) == 0
    before = files[1].read_bytes(), files[1].stat().st_mtime_ns
    assert run(files) == 0
    assert (files[1].read_bytes(), files[1].stat().st_mtime_ns) == before
    assert "0 judged, 0 unscored, 3 already there" in capsys.readouterr().out


def test_outage_is_reported_and_tried_again(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    settings = files[0].with_name("judge.toml")
    settings.write_text('[judge]\nkind = "scripted"\nfail = "unscored"\n')
    judge = ["--judge", str(settings), "--batch-size", "2"]
    assert run(files, *judge) == 1
    said = refused(capsys)
    assert "told to be unavailable" in said
    assert "1 rows were not tried" in said
    assert [line["error"]["code"] for line in lines(files[1]).values()] == ["judge_unavailable"] * 2
    assert run(files, *judge) == 1
    assert len(files[1].read_text().splitlines()) == 2


def test_judge_that_breaks_keeps_what_was_done(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "--judge-option", "fail=raise") == 1
    assert "told to fail" in refused(capsys)


def test_other_judge_other_rows_and_overwrite(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files) == 0
    first = lines(files[1])["plain"]["judge_id"]
    capsys.readouterr()
    other = ["--judge-option", "first_error=0"]
    assert run(files, *other) == 2
    said = refused(capsys)
    assert f"'{first}'" in said
    assert said.count("scripted@") == 2
    assert run(files, *other, "--overwrite") == 0
    assert lines(files[1])["plain"]["first_error"] == 0
    capsys.readouterr()
    files[0].write_text(json.dumps(PLAIN | {"steps": ["changed"]}))
    assert run(files, *other) == 2
    assert "'plain'" in refused(capsys)


@pytest.mark.parametrize("content", ["my notes", "my notes\n", '{"id": "a"}\n', "[1]\n"])
def test_files_that_are_no_output_are_left_alone(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], content: str
) -> None:
    files[1].parent.mkdir()
    files[1].write_text(content)
    assert run(files) == 2
    assert str(files[1]) in refused(capsys)
    assert files[1].read_text() == content


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--judge", "rulez"], "did you mean 'rules'"),
        (["--judge", "absent.toml"], "absent.toml"),
        (["--judge-option", "first_eror=1"], "did you mean 'first_error'"),
        (["--judge-option", "first_error=x"], "'first_error'"),
        (["--judge", "critic"], "'model' is missing"),
        (["--batch-size", "0"], "--batch-size 0"),
        (["--input", "absent.jsonl"], "absent.jsonl: no such file"),
        (["--output", "out.jsonl.gz"], "without .gz"),
    ],
)
def test_bad_arguments(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(files, *arguments) == 2
    assert said in refused(capsys)
    assert not files[1].exists()


def test_bad_row_stops_before_anything_is_judged(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    with files[0].open("a") as file:
        file.write('{"problem": "?"}\n')
    assert run(files) == 2
    assert f"{files[0]}: line 4" in refused(capsys)
    assert not files[1].exists()


def test_show_colours_up_to_the_first_error(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = {"problem": "?", "steps": ["fine [red]x[/red]", "\x1b]0;owned\x07 WRONG \u202e\ud800"], "id": "\x1b[2J"}
    files[0].write_text(json.dumps(hostile) + "\n" + json.dumps(RIGHT))
    assert run(files) == 0
    capsys.readouterr()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(["show", "--input", str(files[0]), "--verdicts", str(files[1]), "--limit", "1"]) == 0
    out = capsys.readouterr().out
    assert "\x1b[32m   0  fine [red]x[/red]\x1b[0m" in out
    assert "\x1b[31m✗  1  \\x1b]0;owned\\x07 WRONG \\u202e\\ud800\x1b[0m" in out
    assert "\x1b[2J" not in out
    assert "\x07" not in out
    assert "right" not in out


def test_show_falls_back_to_labels_and_refuses_other_verdicts(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    files[0].write_text(json.dumps(PLAIN | {"label": 2}))
    assert main(["show", "--input", str(files[0])]) == 0
    assert "✗  2  done" in capsys.readouterr().out
    assert run(files) == 0
    capsys.readouterr()
    for other in ({"steps": ["only one"]}, {"steps": ["as", "many", "steps"]}, {"problem": "Another?"}):
        files[0].write_text(json.dumps(PLAIN | other))
        assert main(["show", "--input", str(files[0]), "--verdicts", str(files[1])]) == 2
        assert "'plain'" in refused(capsys)


def test_show_tells_rows_without_a_verdict_from_labelled_ones(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files, "--known-wrong") == 0
    files[0].write_text(json.dumps(PLAIN) + "\n" + json.dumps(RIGHT | {"id": "new", "label": 0}))
    capsys.readouterr()
    assert main(["show", "--input", str(files[0]), "--verdicts", str(files[1])]) == 0
    shown, _, new = capsys.readouterr().out.partition("new: no verdict")
    assert "plain: first error in step 1" in shown
    assert new
    assert "✗" not in new
    files[0].write_text(json.dumps(RIGHT | {"id": "new", "label": 0}) + "\n" + json.dumps(PLAIN))
    assert main(["show", "--input", str(files[0]), "--verdicts", str(files[1]), "--limit", "1"]) == 0
    assert "new: no verdict" in capsys.readouterr().out
    files[0].write_text(json.dumps(RIGHT | {"id": "new", "label": 0}))
    assert main(["show", "--input", str(files[0]), "--verdicts", str(files[1])]) == 2
    assert "none of the verdicts" in refused(capsys)


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys, judge.cli\n"
        "try: judge.cli.main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'pydantic', 'rich', 'aiohttp'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--judge" in done.stdout
