"""Typed settings from TOML tables: unknown keys and wrong types are refused with a message that names the key."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from judge.errors import ConfigError


class Settings(BaseModel):
    """Base of every settings table: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


SettingsT = TypeVar("SettingsT", bound=BaseModel)


def parse_table(model: type[SettingsT], table: Mapping[str, Any], where: str) -> SettingsT:
    """Validate ``table`` against ``model``.

    Args:
        where: what the reader calls this table (a file name, or ``[judge]``); starts the error message.

    Raises:
        ConfigError: naming every wrong key, its value and what was expected, with the closest known key.
    """
    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        raise ConfigError(f"{where}: {describe(error, model)}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: when the file is missing or is not TOML.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of a TOML configuration") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None


def describe(error: ValidationError, model: type[BaseModel]) -> str:
    """One line for all the faults of a table, without pydantic's links and class names."""
    faults = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "(table)"
        if item["type"] == "extra_forbidden":
            faults.append(f"unknown key '{key}'{closest(item['loc'], model)}")
        elif item["type"] == "missing":
            faults.append(f"'{key}' is missing: {item['msg'].lower()}")
        else:
            faults.append(f"'{key}' = {item['input']!r}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(faults)


def closest(place: Sequence[int | str], model: type[BaseModel]) -> str:
    """A hint to the key that was meant: in another table, or spelt otherwise; empty when there is none.

    Args:
        place: the unknown key, after the tables that it stands in.
        model: of the outermost table.
    """
    *outer, key = (part for part in place if isinstance(part, str))
    here, tables = ".".join(outer), _keys(model)
    elsewhere = [table for table, names in tables.items() if key in names and table != here]
    if elsewhere:
        return f"; move it into [{elsewhere[0]}]" if elsewhere[0] else f"; move it out of [{here}]"
    own = difflib.get_close_matches(key, sorted(tables.get(here, ())), n=1)
    if own:
        return f"; did you mean '{own[0]}'?"
    names = {f"{table}.{name}".lstrip("."): name for table, known in tables.items() for name in known}
    matches = difflib.get_close_matches(key, sorted(names.values()), n=1)
    full = next((path for path, name in names.items() if matches and name == matches[0]), "")
    return f"; did you mean '{full}'?" if full else ""


def _keys(model: type[BaseModel], table: str = "", around: tuple[type[BaseModel], ...] = ()) -> dict[str, set[str]]:
    """The keys of a table and of all tables inside, by dotted name; "" is the table itself."""
    found = {table: set(model.model_fields)}
    for name, field in model.model_fields.items():
        for inner in _models(field.annotation):
            if inner not in (model, *around):  # a table may hold its own kind
                found |= _keys(inner, f"{table}.{name}".lstrip("."), (model, *around))
    return found


def _models(annotation: object) -> list[type[BaseModel]]:
    """The tables in an annotation, such as ``X | None`` or ``tuple[X, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
