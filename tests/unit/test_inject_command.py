"""``sgpo-judge label inject`` as a user types it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from judge.commands import label
from judge.errors import ConfigError, DataError
from judge.records import read_rows, write_records
from judge.types import Record

CONFIG = """
[inject]
correct_share = 1.0
merge = 0.0
kinds = { wrong_operation = 1.0 }
answers = { none = 1.0 }
"""


def command(*args: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    label.add_parser(parser.add_subparsers())
    return parser.parse_args(["label", "inject", *map(str, args)])


@pytest.fixture
def right(tmp_path: Path) -> Path:
    path = tmp_path / "right.jsonl"
    steps = ("There are 9 - 4 = 5 red ones.", "With 3 more, there are 5 + 3 = 8.")
    rows = [
        Record("Of 9 balls 4 are blue; then come 3 red.", steps, label=-1, reference_answer="8", id="balls"),
        Record("Unsolved.", ("No idea.",), reference_answer="8", id="none"),
    ]
    write_records(rows, path)
    return path


def test_the_command(right: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, out = tmp_path / "c.toml", tmp_path / "new" / "out.jsonl"
    config.write_text(CONFIG)
    args = ["--path", right, "--config", config, "--output", out]
    assert label.main(command(*args)) == 0
    said = capsys.readouterr().out
    assert "1 wrong (wrong_operation 1) and 1 right solutions from 2 rows" in said
    assert "unusable rows: 1 (no calculation that can be read 1)" in said
    assert "0 of 1 problems are evaluation problems" in said
    wrong, correct = (row.record for row in read_rows(out))
    assert (wrong.id, wrong.source, wrong.label in (0, 1)) == ("balls-inject0", "records:wrong_operation", True)
    assert wrong.critique is not None
    assert "It should " in wrong.critique
    assert (correct.id, correct.label, correct.final_answer_correct) == ("balls-correct", -1, True)
    before = out.read_bytes()
    with pytest.raises(ConfigError, match="--overwrite"):
        label.main(command(*args))
    assert label.main(command(*args, "--overwrite")) == 0
    assert out.read_bytes() == before


def test_a_source_by_name(data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    path = data_dir / "gsm8k" / "train.jsonl.gz"
    assert label.main(command("--source", "gsm8k", "--path", path, "--limit", 20, "--output", out)) == 0
    records = [row.record for row in read_rows(out)]
    assert len(records) > 15
    assert all(record.source.startswith("gsm8k:") and record.reference_answer for record in records)


@pytest.mark.parametrize(
    ("text", "said"),
    [("[other]\n", r"no \[inject\] table"), ("[inject]\nmerges = 1\n", "unknown key 'merges'; did you mean 'merge'")],
)
def test_a_wrong_config(text: str, said: str, right: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(text)
    with pytest.raises(ConfigError, match=said):
        label.main(command("--path", right, "--config", config, "--output", tmp_path / "out.jsonl"))
    assert not (tmp_path / "out.jsonl").exists()


def test_wrong_arguments(right: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(ConfigError, match="gsm8k"):
        label.main(command("--source", "gsm9k", "--path", right, "--output", out))
    with pytest.raises(ConfigError, match="--limit 0"):
        label.main(command("--path", right, "--limit", 0, "--output", out))
    with pytest.raises(DataError, match=r"nothing\.jsonl"):
        label.main(command("--path", tmp_path / "nothing.jsonl", "--output", out))
