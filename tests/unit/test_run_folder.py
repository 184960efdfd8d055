"""The run folder is never emptied by surprise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sgpo_client.config import parse_config
from sgpo_client.errors import ConfigError
from sgpo_client.log.run_folder import prepare


def config(folder: Path, **run: object):
    data = {"source": "reasoning_gym", "name": "gsm_symbolic", "num_problems": 4}
    return parse_config({"model": {"name": "m"}, "data": data, "run": {"output_dir": str(folder), **run}}, "x")


def test_a_new_folder_holds_what_the_run_is(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    prepare(config(folder), "sgpo-train x.toml", {"training": 4})
    facts = json.loads((folder / "run.json").read_text())
    assert facts["command"] == "sgpo-train x.toml"
    assert facts["config"]["model"]["name"] == "m"


def test_a_former_run_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    prepare(config(folder), "first", {})
    (folder / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match=r"run\.overwrite=true"):
        prepare(config(folder), "second", {})
    prepare(config(folder, resume=True), "third", {})
    assert (folder / "metrics.jsonl").exists()
    prepare(config(folder, overwrite=True), "fourth", {})
    assert not (folder / "metrics.jsonl").exists()


def test_overwrite_does_not_remove_what_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="holds no former run"):
        prepare(config(tmp_path, overwrite=True), "x", {})
    assert (tmp_path / "thesis.tex").exists()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        prepare(config(tmp_path / "run"), "x", {})
