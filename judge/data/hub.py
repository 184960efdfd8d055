"""Rows of a hub data set, through `datasets.load_dataset`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from judge.errors import ConfigError, DataError

_HUB_ID: Final = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*/[\w.-]+?)(?::(?P<config>[\w.-]+))?(?:#(?P<split>[\w.\[\]:%-]+))?"
)
_FILE_SUFFIXES: Final = (".json", ".jsonl", ".gz", ".parquet")


def is_hub_id(path: str) -> bool:
    """True for ``owner/name[:config][#split]`` that does not look like a file's name.

    >>> is_hub_id("Qwen/ProcessBench#gsm8k"), is_hub_id("openai/gsm8k:main#train"), is_hub_id("data/math.json")
    (True, True, False)
    """
    match = _HUB_ID.fullmatch(path)
    return match is not None and not match["name"].endswith(_FILE_SUFFIXES)


def hub_rows(path: str) -> Iterator[object]:
    """The rows of one split; without ``#split`` the data set must have a single one.

    Raises:
        ConfigError: when the datasets package is missing, or a split must be chosen.
        DataError: when the data set cannot be loaded.
    """
    match = _HUB_ID.fullmatch(path)
    if match is None:
        raise ConfigError(f"{path}: a hub data set is written owner/name[:config][#split]")
    try:
        import datasets
    except ImportError:
        raise ConfigError(f"{path}: hub data sets need the datasets package: pip install 'sgpo[train]'") from None
    try:
        loaded = datasets.load_dataset(match["name"], match["config"], split=match["split"])
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{path}: neither a file nor a hub data set that can be loaded ({error}); "
            "check the spelling, and the network for a hub data set"
        ) from None
    if match["split"] is None:
        splits = list(loaded)
        if len(splits) != 1:
            raise ConfigError(f"{path}: has several splits; write {path}#SPLIT with one of {', '.join(splits)}")
        loaded = loaded[splits[0]]
    yield from loaded
