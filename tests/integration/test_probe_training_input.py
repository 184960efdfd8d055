"""Outputs, settings and records with which no probe can be trained."""

from pathlib import Path
from typing import Any

import pytest

from judge.errors import ConfigError, DataError
from judge.records import write_records
from judge.types import NO_ERROR
from tests.integration.probe_run import records, train, write_config

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, tiny_policy: Path) -> Path:
    return write_config(tmp_path_factory.mktemp("probe-training"), tiny_policy)


def test_output_that_holds_something_else_is_refused_at_once(config: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert train("probe", config, tmp_path) == 2
    assert "exists and holds no judge" in capsys.readouterr().err
    assert not tmp_path.with_name(f"{tmp_path.name}.work").exists()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("layers=[9]", "has layers 1 to 2, and layer 9"),
        ("model=no-such-model", "no such folder"),
        ("colour=red", "unknown key 'colour'"),
        ("max_tokens=5", "no record of at most max_tokens = 5"),
    ],
)
def test_bad_settings_are_one_line(config: Path, tmp_path: Path, capsys: Any, option: str, said: str) -> None:
    assert train("probe", config, tmp_path / "out", option) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_too_few_wrong_steps_are_refused(config: Path, tmp_path: Path) -> None:
    only_right = [r for r in records(30) if r.label == NO_ERROR]
    write_records(only_right, tmp_path / "right.jsonl")
    from judge.settings import parse_table, read_toml
    from judge.train.probe import ProbeTraining, train_probe

    table = read_toml(config)
    table["data"]["sources"][0]["path"] = str(tmp_path / "right.jsonl")
    with pytest.raises((DataError, ConfigError), match="0 solutions with an error"):
        train_probe(parse_table(ProbeTraining, table, "test"), tmp_path / "out", "test")
