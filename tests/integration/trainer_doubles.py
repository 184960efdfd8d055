"""Stand-ins for trainers that are not installed, written from their sources, under their module names.

Where the real package is installed it is used instead, so the same tests then run inside it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from unittest.mock import patch


@contextmanager
def standing_in(adapter: ModuleType, made: str, modules: Mapping[str, Mapping[str, Any]]) -> Iterator[bool]:
    """Modules with these contents, unless their package is installed; yields whether the real one is used.

    Args:
        adapter: the adapter, which then makes its class anew.
        made: the name of that class.
        modules: contents by full name, parents first.
    """
    real = find_spec(next(iter(modules))) is not None
    doubles: dict[str, ModuleType] = {}
    for name, content in {} if real else modules.items():
        doubles[name] = ModuleType(name)
        vars(doubles[name]).update(content)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(doubles[parent], child, doubles[name])
    vars(adapter).pop(made, None)
    with patch.dict(sys.modules, doubles):
        yield real
    vars(adapter).pop(made, None)


def environment(variables: Mapping[str, str], settings: Mapping[str, Any]) -> Any:
    """The settings as environment variables, for the length of a block."""
    return patch.dict("os.environ", {variables[name]: str(value) for name, value in settings.items()})
