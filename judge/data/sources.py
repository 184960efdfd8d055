"""All sources by name. A source's module is imported when it is asked for."""

from __future__ import annotations

import difflib

from judge.data.items import read_items
from judge.data.source import Loaded, Source, read_records
from judge.errors import ConfigError


def sources() -> dict[str, Source]:
    """Every source by its name."""
    from judge.data import (
        big_bench_mistake,
        gsm8k,
        math_shepherd,
        mr_gsm8k,
        mrben,
        own_records,
        prm800k,
        prmbench,
        processbench,
        trl,
    )

    modules = (prm800k, mrben, math_shepherd, gsm8k, trl, own_records, processbench, mr_gsm8k, big_bench_mistake)
    known = [module.SOURCE for module in modules] + [prmbench.SOURCE, prmbench.ORIGINALS]
    return {source.name: source for source in known}


def get_source(name: str) -> Source:
    """The source of this name.

    Raises:
        ConfigError: for an unknown name, with the closest known one.
    """
    known = sources()
    if name not in known:
        matches = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1)
        hint = f"did you mean '{matches[0]}'?" if matches else f"known: {', '.join(sorted(known))}"
        raise ConfigError(f"unknown data source '{name}'; {hint}")
    return known[name]


def load_source(name: str, path: str) -> Loaded:
    """Read a file, or a hub data set ``owner/name[:config][#split]``, in a source's schema.

    Raises:
        ConfigError: for an unknown source or a missing package.
        DataError: when the file cannot be read, or holds no row of this schema (naming file, row and field).
    """
    return read_records(get_source(name), read_items(path), path)
