"""From a configuration table to a judge. Only the chosen kind's module is imported."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from judge.errors import ConfigError
from judge.judges.base import Judge
from judge.settings import parse_table, read_toml

MANIFEST: Final = "judge.json"
"""Marks the folder of a trained judge."""
CRITIC_MANIFEST: Final = "critic.json"
"""Marks the folder of a trained critic, which is a model of its own."""

DEFAULT_FOLDER: Final = Path(__file__).parent / "default_judge"
"""The trained judge that comes with the package."""

JUDGE_KINDS: Final = (
    "default",
    "rules",
    "critic",
    "scan",
    "probe",
    "features",
    "classifier",
    "cascade",
    "vote",
    "scripted",
)
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
        spec: a judge kind, the folder of a trained judge, or the path of a TOML file with a ``[judge]`` table.
        options: ``key=value``, dotted keys for tables inside; values are read as TOML, and as a plain string where
            they are no TOML. They overrule the file.

    >>> judge_table("scripted", ["first_error=2", "pattern=oops"])
    {'kind': 'scripted', 'first_error': 2, 'pattern': 'oops'}

    Raises:
        ConfigError: neither a kind nor a file, a file without the table, or an option without ``=``.
    """
    table: dict[str, Any] = {"kind": spec} if spec in JUDGE_KINDS else _from_path(spec)
    for option in options:
        set_option(table, option, "--judge-option")
    return table


def _rules(settings: dict[str, object], where: str) -> Judge:
    from judge.judges.rules import RulesJudge, RulesSettings

    return RulesJudge(parse_table(RulesSettings, settings, where))


def _critic(settings: dict[str, object], where: str) -> Judge:
    from judge.judges.critic import CriticSettings, build_critic

    return build_critic(parse_table(CriticSettings, settings, where))


def _scan(settings: dict[str, object], where: str) -> Judge:
    from judge.judges.scan import ScanSettings, build_scan

    return build_scan(parse_table(ScanSettings, settings, where))


def _classifier(settings: dict[str, object], where: str) -> Judge:
    from judge.judges.classifier import ClassifierSettings, build_classifier

    return build_classifier(parse_table(ClassifierSettings, settings, where))


def _cascade(settings: dict[str, object], where: str) -> Judge:
    from judge.judges.cascade import build_cascade

    return build_cascade(settings, where)


def _vote(settings: dict[str, object], where: str) -> Judge:
    from judge.judges.vote import build_vote

    return build_vote(settings, where)


def _scripted(settings: dict[str, object], where: str) -> Judge:
    from judge.judges.scripted import ScriptedJudge, ScriptedSettings

    return ScriptedJudge(parse_table(ScriptedSettings, settings, where))


def _default(settings: dict[str, object], where: str) -> Judge:
    settings = {"folder": str(DEFAULT_FOLDER), **settings}
    return _BUILDERS[folder_kind(DEFAULT_FOLDER)](settings, where)


def _probe(settings: dict[str, object], where: str) -> Judge:
    from judge.judges.probe import ProbeSettings, build_probe

    return build_probe(parse_table(ProbeSettings, settings, where))


def _features(settings: dict[str, object], where: str) -> Judge:
    from judge.judges.features import FeaturesSettings, build_features

    return build_features(parse_table(FeaturesSettings, settings, where))


_BUILDERS: Final[Mapping[str, Callable[[dict[str, object], str], Judge]]] = {
    "default": _default,
    "rules": _rules,
    "critic": _critic,
    "scan": _scan,
    "probe": _probe,
    "features": _features,
    "classifier": _classifier,
    "cascade": _cascade,
    "vote": _vote,
    "scripted": _scripted,
}


def _closest(kind: str) -> str:
    matches = difflib.get_close_matches(kind, JUDGE_KINDS, n=1)
    hint = f"; did you mean '{matches[0]}'?" if matches else ""
    return f"{hint} (one of {', '.join(JUDGE_KINDS)})"


def _from_path(spec: str) -> dict[str, Any]:
    path = Path(spec).expanduser()
    if (path / MANIFEST).is_file():
        return {"kind": folder_kind(path), "folder": str(path)}
    if (path / CRITIC_MANIFEST).is_file():
        return {"kind": "critic", "backend": "local", "model": str(path)}
    if path.suffix != ".toml" and not path.is_file():
        hint = _closest(spec)
        raise ConfigError(f"--judge: unknown judge {spec!r}{hint}, nor the path of a TOML file or a judge's folder")
    table = read_toml(path).get("judge")
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: no [judge] table")
    return dict(table)


def folder_kind(folder: Path) -> str:
    """The kind of the trained judge in a folder.

    Raises:
        ConfigError: when its manifest cannot be read.
    """
    try:
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder / MANIFEST}: cannot be read as a judge's manifest ({error})") from None


def set_option(table: dict[str, Any], option: str, flag: str) -> None:
    """Set ``key=value`` in a table; a dotted key goes into the tables inside.

    Args:
        flag: the option of the command line that it came from, for messages.

    Raises:
        ConfigError: no ``=``, an empty key, or a dotted key through something that is no table.
    """
    key, equals, value = option.partition("=")
    keys = [part.strip() for part in key.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"{flag} {option!r}: write it as key=value")
    for outer in keys[:-1]:
        inner = table.get(outer, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{flag} {option!r}: '{outer}' is no table")
        table[outer] = dict(inner)
        table = table[outer]
    table[keys[-1]] = _value(value)


def _value(text: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text
