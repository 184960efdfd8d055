"""Typed settings from TOML tables: unknown keys and wrong types are refused with a message that names the key."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

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
            faults.append(f"unknown key '{key}'{closest(str(item['loc'][-1]), model)}")
        elif item["type"] == "missing":
            faults.append(f"'{key}' is missing: {item['msg'].lower()}")
        else:
            faults.append(f"'{key}' = {item['input']!r}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(faults)


def closest(key: str, model: type[BaseModel]) -> str:
    """``; did you mean 'x'?`` when a field of the model or of its tables has a similar name."""
    names = set(model.model_fields)
    for field in model.model_fields.values():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            names |= set(nested.model_fields)
    matches = difflib.get_close_matches(key, sorted(names), n=1)
    return f"; did you mean '{matches[0]}'?" if matches else ""
