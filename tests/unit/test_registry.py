"""From ``[judge]`` tables and command-line options to judges."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from judge.errors import ConfigError
from judge.judges.base import Judge
from judge.judges.rules import RulesJudge
from judge.judges.scripted import ScriptedJudge, ScriptedSettings
from judge.registry import JUDGE_KINDS, build_judge, judge_table
from judge.types import Solution


def test_kinds_are_built_from_tables() -> None:
    assert isinstance(build_judge({"kind": "rules"}), RulesJudge)
    scripted = build_judge({"kind": "scripted", "first_error": 2})
    assert isinstance(scripted, Judge)
    assert scripted.judge_id == ScriptedJudge(ScriptedSettings(first_error=2)).judge_id


def test_critic_settings_are_checked_by_the_critic() -> None:
    with pytest.raises(ConfigError, match=r"^\[judge\]: .*unknown key 'no_such_key'"):
        build_judge({"kind": "critic", "no_such_key": 1})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "[judge]: 'kind' is missing; give one of default, rules, critic"),
        ({"kind": "rulez"}, "[judge]: unknown judge kind 'rulez'; did you mean 'rules'? (one of"),
        ({"kind": "zzz"}, "[judge]: unknown judge kind 'zzz' (one of"),
        ({"kind": 3}, "[judge]: unknown judge kind 3 (one of"),
        ({"kind": ["rules"]}, "[judge]: unknown judge kind ['rules']"),
        ({"kind": "rules", "max_character": 5}, "unknown key 'max_character'; did you mean 'max_characters'?"),
        ({"kind": "rules", "max_characters": "many"}, "'max_characters' = 'many'"),
        ({"kind": "scripted", "fail": "often"}, "'fail' = 'often'"),
        ({"kind": "critic", "model": "m"}, "'base_url' = '': backend 'openai' needs the endpoint's address"),
    ],
)
def test_wrong_tables_are_refused_with_the_key(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        build_judge(table)
    assert message in str(raised.value)


def test_table_of_a_kind_with_options() -> None:
    for kind in JUDGE_KINDS:
        assert judge_table(kind) == {"kind": kind}
    options = ["first_error=2", "pattern=say oops", 'fail="raise"', "delay_s=0.5", "flag=true", "a.b=[1, 2]", "a.c=x=y"]
    assert judge_table("scripted", options) == {
        "kind": "scripted",
        "first_error": 2,
        "pattern": "say oops",
        "fail": "raise",
        "delay_s": 0.5,
        "flag": True,
        "a": {"b": [1, 2], "c": "x=y"},
    }


def test_option_value_cannot_smuggle_in_more_keys() -> None:
    assert judge_table("scripted", ["pattern=1\nfirst_error = 2"]) == {
        "kind": "scripted",
        "pattern": "1\nfirst_error = 2",
    }


async def test_table_from_a_file_is_overruled_by_options(tmp_path: Path) -> None:
    path = tmp_path / "judge.toml"
    path.write_text('[judge]\nkind = "scripted"\nfirst_error = 1\n[server]\nport = 1\n', encoding="utf-8")
    assert judge_table(str(path)) == {"kind": "scripted", "first_error": 1}
    judge = build_judge(judge_table(str(path), ["first_error=0"]))
    [verdict] = await judge.judge([Solution("p", ("a", "b"))])
    assert getattr(verdict, "first_error", None) == 0


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("rulez", [], "unknown judge 'rulez'; did you mean 'rules'?"),
        ("missing.toml", [], "missing.toml: no such file"),
        ("rules", ["max_characters"], "'max_characters': write it as key=value"),
        ("rules", ["=3"], "'=3': write it as key=value"),
        ("rules", ["a..b=3"], "write it as key=value"),
        ("rules", ["a=1", "a.b=3"], "'a' is no table"),
    ],
)
def test_wrong_specs_are_refused(spec: str, options: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        judge_table(spec, options)
    assert message in str(raised.value)


def test_file_without_the_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text("judge = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no \[judge\] table"):
        judge_table(str(path))


def test_registry_imports_no_judge_before_it_is_chosen() -> None:
    code = (
        "import sys, judge.registry as r; r.build_judge({'kind': 'rules'}); "
        "print(sorted({'torch', 'transformers', 'judge.judges.critic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
