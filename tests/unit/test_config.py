"""The training configuration: what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgpo_client.config import load_config, parse_config
from sgpo_client.errors import ConfigError

MINIMAL = {"model": {"name": "m"}, "data": {"source": "reasoning_gym", "name": "gsm_symbolic", "num_problems": 4}}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("table", "key", "value", "words"),
    [
        ("algo", "naem", "sgpo", ["unknown key 'algo.naem'", "did you mean 'algo.name'"]),
        ("algo", "name", "ppo", ["'algo.name' = 'ppo'", "'rloo', 'dapo' or 'sgpo'"]),
        ("algo", "name", "drgrpo", ["'algo.name' = 'drgrpo'", "did you mean 'dr_grpo'?"]),
        ("run", "steps", "many", ["'run.steps' = 'many'", "integer"]),
        ("run", "steps", 0, ["'run.steps' = 0", "greater than or equal to 1"]),
        ("rollout", "group_size", 1, ["'rollout.group_size' = 1"]),
        ("rollout", "prompt", "solve it", ["prompt must contain {problem} exactly once"]),
        ("optim", "lr", float("nan"), ["'optim.lr'", "finite"]),
        ("reward", "url", "localhost:8000", ["'reward'", "http://"]),
        ("reward", "shaping", {"cap": 1.0}, ["'reward.shaping.cap' = 1.0", "less than 1"]),
        ("reward", "shaping", {"beta": -1}, ["'reward.shaping.beta' = -1"]),
    ],
)
def test_wrong_settings_are_refused_by_name(table: str, key: str, value: object, words: list[str]) -> None:
    tables = {**MINIMAL, table: {key: value}}
    with pytest.raises(ConfigError) as caught:
        parse_config(tables, "run.toml")
    message = str(caught.value)
    assert message.startswith("run.toml: ")
    assert all(word in message for word in words), message


def test_missing_tables_are_named() -> None:
    with pytest.raises(ConfigError, match="'model' is missing"):
        parse_config({"data": MINIMAL["data"]}, "run.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "no such file"), ("[run\n", "cannot be read as TOML"), ("\x00", "cannot be read as TOML")],
)
def test_unreadable_files(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "run.toml" if text is None else write(tmp_path, text)
    with pytest.raises(ConfigError, match=words):
        load_config(path)


TEXT = """
[model]
name = "m"
[data]
source = "reasoning_gym"
name = "gsm_symbolic"
num_problems = 4
"""


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("algo.name=grpo", lambda c: c.algo.name, "grpo"),
        ("run.steps=7", lambda c: c.run.steps, 7),
        ("reward.shaping.cap=0.25", lambda c: c.reward.shaping.cap, 0.25),
        ("run.resume=true", lambda c: c.run.resume, True),
        ("data.path=some/file=1.jsonl", lambda c: c.data.path, Path("some/file=1.jsonl")),
    ],
)
def test_overrides(tmp_path: Path, override: str, read, value: object) -> None:
    assert read(load_config(write(tmp_path, TEXT), [override])) == value


@pytest.mark.parametrize("override", ["algo.name", "steps=3", "=3", "run.=3"])
def test_malformed_overrides(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match=r"TABLE\.KEY=VALUE"):
        load_config(write(tmp_path, TEXT), [override])


def test_override_through_a_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'name' is a value, not a table"):
        load_config(write(tmp_path, TEXT), ["model.name.x=1"])


def test_grpo_asks_for_outcomes_only() -> None:
    assert parse_config(MINIMAL, "x").shaping.apply_to == "all_negative"
    assert parse_config({**MINIMAL, "algo": {"name": "grpo"}}, "x").shaping.apply_to == "none"


def test_fingerprint_ignores_only_what_may_change_between_sessions() -> None:
    base = parse_config(MINIMAL, "x").fingerprint()
    longer = parse_config({**MINIMAL, "run": {"steps": 99, "output_dir": "elsewhere", "resume": True}}, "x")
    assert longer.fingerprint() == base
    patient = parse_config({**MINIMAL, "reward": {"timeout_s": 900, "url": "http://127.0.0.1:9"}}, "x")
    assert patient.fingerprint() == base
    for change in ({"run": {"seed": 1}}, {"algo": {"name": "grpo"}}, {"optim": {"lr": 1.0}}, {"model": {"name": "n"}}):
        assert parse_config({**MINIMAL, **change}, "x").fingerprint() != base


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"sgpo": {"groups": "none"}}, ["algo.name = 'sgpo'", "sgpo.groups = 'none'", "'grpo'"]),
        ({"algo": {"name": "grpo"}, "sgpo": {"scale": "std"}}, ["'grpo' judges nothing", "sgpo.scale"]),
        ({"algo": {"ratio": "sequence"}, "sgpo": {"credit": "prefix"}}, ["sgpo.credit", "algo.ratio = 'sequence'"]),
        ({"algo": {"name": "rloo", "reduction": "token_mean"}}, ["sequence_sum", "reduction = 'sequence_mean'"]),
        ({"sgpo": {"schedule": "linear"}}, ["needs weight_end"]),
        ({"sgpo": {"weight_end": 0.1}}, ["weight_end = 0.1 does nothing", "schedule"]),
        (
            {"sgpo": {"suffix_penalty": 0.1, "credit": "response"}},
            ["suffix_penalty does nothing", "credit = 'prefix'"],
        ),
        ({"algo": {"ratio": "sequence"}, "sgpo": {"suffix_penalty": 0.1}}, ["suffix_penalty", "ratio = 'sequence'"]),
        ({"sgpo": {"scale_value": 0.1}}, ["scale_value does nothing with scale = 'none'", "'std_floor'"]),
        ({"sgpo": {"quantum": 0.6}, "reward": {"shaping": {"cap": 0.9}}}, ["quantum = 0.6", "up to 0.9", "lower"]),
        ({"eval": {"every": 5}}, ["eval.every = 5", "num_eval_problems = 0"]),
        ({"data": {"source": "jsonl", "path": "t", "eval_path": "e"}}, ["data.eval_path = e", "num_eval_problems"]),
        ({"rollout": {"top_p": 0.9, "staleness": 1}}, ["top_p = 0.9", "staleness = 1", "top_p = 1"]),
        ({"rollout": {"top_p": 0.9, "engine": "vllm"}}, ["top_p = 0.9", "engine = 'vllm'"]),
        (
            {
                "offline": {"path": "r", "verdicts": "v"},
                "sgpo": {"credit": "response"},
                "reward": {"shaping": {"length": "tokens"}},
            },
            ["reward.shaping.length = 'tokens'", "sgpo-judge counts steps"],
        ),
    ],
)
def test_settings_that_contradict_each_other_are_named_with_the_way_out(tables: dict, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({**MINIMAL, **tables}, "run.toml")
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_what_only_looks_like_a_contradiction_is_allowed() -> None:
    allowed: list[dict] = [
        {"sgpo": {"scale": "std_floor", "scale_value": 0.1}},
        {"sgpo": {"quantum": 0.6}},  # a cap of 0.5 becomes 0.6
        {"rollout": {"top_p": 0.9}},
        {"run": {"resume": True, "overwrite": True}},
    ]
    for tables in allowed:
        parse_config({**MINIMAL, **tables}, "run.toml")


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "rloo", "dapo"])
def test_sgpo_goes_with_any_algorithm(name: str) -> None:
    assert parse_config({**MINIMAL, "algo": {"name": name}}, "x").shaping.apply_to == "none"
    config = parse_config({**MINIMAL, "algo": {"name": name}, "sgpo": {"groups": "every_wrong"}}, "x")
    assert config.shaping.apply_to == "every_wrong"


def test_an_algorithms_name_sets_what_is_left_out() -> None:
    dapo = parse_config({**MINIMAL, "algo": {"name": "dapo", "clip_eps_high": 0.5}}, "x").algo.resolved
    assert (dapo.normalize, dapo.reduction, dapo.clip_eps_low, dapo.clip_eps_high) == ("std", "token_mean", 0.2, 0.5)
    assert (dapo.mask_truncated, dapo.dynamic_sampling) == (True, 3)


@pytest.mark.parametrize(
    ("tables", "credit"),
    [
        ({}, "prefix"),
        ({"sgpo": {"credit": "response"}}, "response"),
        ({"algo": {"ratio": "sequence"}}, "response"),
        ({"offline": {"path": "r.jsonl", "verdicts": "v.jsonl"}}, "response"),
        ({"offline": {"path": "r.jsonl"}}, "prefix"),
    ],
)
def test_credit_is_split_where_it_can_be(tables: dict, credit: str) -> None:
    assert parse_config({**MINIMAL, **tables}, "x").credit == credit


def test_a_schedule_over_the_run_ties_a_checkpoint_to_the_runs_length() -> None:
    def fingerprint(steps: int, sgpo: dict) -> str:
        return parse_config({**MINIMAL, "run": {"steps": steps}, "sgpo": sgpo}, "x").fingerprint()

    assert fingerprint(10, {}) == fingerprint(20, {})
    falling = {"schedule": "linear", "weight_end": 0.1}
    assert fingerprint(10, falling) != fingerprint(20, falling)


def test_without_a_judge_nothing_is_split() -> None:
    assert parse_config({**MINIMAL, "algo": {"name": "dr_grpo"}}, "x").credit == "response"
