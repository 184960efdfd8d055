"""From a configuration table to a judge. Only the chosen kind's module is imported."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from judge.errors import ConfigError
from judge.judges.base import Judge
from judge.settings import parse_table, read_toml

JUDGE_KINDS: Final = ("rules", "critic", "scripted")
"""Values of ``kind`` in a ``[judge]`` table and of ``--judge`` on a command line."""


def build_judge(table: Mapping[str, object], where: str = "[judge]") -> Judge:
    """Make the judge that a table describes.

    Args:
        table: ``kind``, one of `JUDGE_KINDS`, and that kind's settings.
        where: what the reader calls this table; starts every error message.

    Raises:
        ConfigError: an unknown or missing kind, or a setting that the kind does not take.
        ModelError: the judge's model cannot be found.
    """
    settings = dict(table)
    kind = settings.pop("kind", None)
    if kind is None:
        raise ConfigError(f"{where}: 'kind' is missing; give one of {', '.join(JUDGE_KINDS)}")
    builder = _BUILDERS.get(kind) if isinstance(kind, str) else None
    if builder is None:
        raise ConfigError(f"{where}: unknown judge kind {kind!r}{_closest(str(kind))}")
    return builder(settings, where)


def judge_table(spec: str, options: Sequence[str] = ()) -> dict[str, Any]:
    """The table for ``--judge SPEC`` with ``--judge-option KEY=VALUE`` any number of times.

    Args:
        spec: a judge kind, or the path of a TOML file with a ``[judge]`` table.
        options: ``key=value``, dotted keys for tables inside; values are read as TOML, and as a plain string where
            they are no TOML. They overrule the file.

    >>> judge_table("scripted", ["first_error=2", "pattern=oops"])
    {'kind': 'scripted', 'first_error': 2, 'pattern': 'oops'}

    Raises:
        ConfigError: neither a kind nor a file, a file without the table, or an option without ``=``.
    """
    table: dict[str, Any] = {"kind": spec} if spec in JUDGE_KINDS else _from_file(spec)
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not all(part.strip() for part in key.split(".")):
            raise ConfigError(f"--judge-option {option!r}: write it as key=value")
        _set(table, [part.strip() for part in key.split(".")], _value(value), option)
    return table


def _rules(settings: dict[str, object], where: str) -> Judge:
    from judge.judges.rules import RulesJudge, RulesSettings

    return RulesJudge(parse_table(RulesSettings, settings, where))


def _critic(settings: dict[str, object], where: str) -> Judge:
    from judge.judges.critic import CriticSettings, build_critic

    return build_critic(parse_table(CriticSettings, settings, where))


def _scripted(settings: dict[str, object], where: str) -> Judge:
    from judge.judges.scripted import ScriptedJudge, ScriptedSettings

    return ScriptedJudge(parse_table(ScriptedSettings, settings, where))


_BUILDERS: Final[Mapping[str, Callable[[dict[str, object], str], Judge]]] = {
    "rules": _rules,
    "critic": _critic,
    "scripted": _scripted,
}


def _closest(kind: str) -> str:
    matches = difflib.get_close_matches(kind, JUDGE_KINDS, n=1)
    hint = f"; did you mean '{matches[0]}'?" if matches else ""
    return f"{hint} (one of {', '.join(JUDGE_KINDS)})"


def _from_file(spec: str) -> dict[str, Any]:
    path = Path(spec)
    if path.suffix != ".toml" and not path.is_file():
        raise ConfigError(f"--judge: unknown judge {spec!r}{_closest(spec)}, nor the path of a TOML file")
    table = read_toml(path).get("judge")
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: no [judge] table")
    return dict(table)


def _set(table: dict[str, Any], keys: list[str], value: object, option: str) -> None:
    for key in keys[:-1]:
        inner = table.get(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--judge-option {option!r}: '{key}' is no table")
        table[key] = dict(inner)
        table = table[key]
    table[keys[-1]] = value


def _value(text: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text
