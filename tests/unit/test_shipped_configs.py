"""Every file under configs/ is one that its program accepts."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

from judge.registry import build_judge
from judge.settings import parse_table, read_toml
from reward_server.config import ServerConfig
from sgpo_client.config import load_config

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.toml"))
SERVER = [path for path in CONFIGS if path.stem.startswith("server")]
JUDGE = {
    "judge-probe": ("judge.train.probe", "ProbeTraining"),
    "judge-features": ("judge.train.features", "FeaturesTraining"),
    "judge-classifier": ("judge.train.classifier_settings", "ClassifierTrainSettings"),
    "judge-classifier-cpu": ("judge.train.classifier_settings", "ClassifierTrainSettings"),
    "judge-critic-sft": ("judge.train.critic_settings", "CriticTrainSettings"),
}
"""Configurations of ``sgpo-judge``, and what reads them."""
TRAINING = [path for path in CONFIGS if path not in SERVER and path.stem not in {*JUDGE, "inject"}]


def test_there_are_configs_of_both_kinds() -> None:
    assert {path.stem for path in TRAINING} >= {"quickstart", "gsm8k", "debug"}
    assert {path.stem for path in SERVER} >= {"server-rules", "server-critic", "server-scripted"}


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_training_config(path: Path) -> None:
    config = load_config(path)
    assert set(tomllib.loads(path.read_text())) <= config.model_fields_set


@pytest.mark.parametrize("stem", JUDGE)
def test_judge_config(stem: str) -> None:
    [path] = [path for path in CONFIGS if path.stem == stem]
    module, name = JUDGE[stem]
    parse_table(getattr(importlib.import_module(module), name), read_toml(path), str(path))


@pytest.mark.parametrize("path", SERVER, ids=lambda path: path.stem)
def test_server_config(path: Path) -> None:
    config = parse_table(ServerConfig, read_toml(path), str(path))
    build_judge(config.judge)
