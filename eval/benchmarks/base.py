"""Which benchmarks there are, and how their data is found."""

from __future__ import annotations

import difflib
from pathlib import Path

from eval.benchmarks.data_file import DataFile, read_data_file, read_splits
from eval.benchmarks.example import Benchmark
from judge.data.items import is_hub_path
from judge.errors import ConfigError

__all__ = ["Benchmark", "DataFile", "benchmarks", "get_benchmark", "read_benchmark_file", "read_data_file"]


def benchmarks() -> dict[str, Benchmark]:
    """Every benchmark by its name."""
    from eval.benchmarks.big_bench_mistake import BigBenchMistake
    from eval.benchmarks.mr_gsm8k import MrGsm8k
    from eval.benchmarks.mrben import MrBen
    from eval.benchmarks.prm800k import Prm800k
    from eval.benchmarks.prmbench import PrmBench
    from eval.benchmarks.processbench import ProcessBench
    from eval.benchmarks.records import Records

    every = (ProcessBench(), MrGsm8k(), MrBen(), PrmBench(), BigBenchMistake(), Prm800k(), Records())
    return {benchmark.name: benchmark for benchmark in every}


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of this name.

    Raises:
        ConfigError: for an unknown name, with the closest known one.
    """
    known = benchmarks()
    if name not in known:
        matches = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"did you mean '{matches[0]}'?" if matches else f"known: {', '.join(known)}"
        raise ConfigError(f"--benchmark {name}: no such benchmark; {hint}")
    return known[name]


def read_benchmark_file(benchmark: Benchmark, path: str | None) -> DataFile:
    """The content of a benchmark.

    Args:
        path: a file, a folder, or a hub data set ``owner/name[:config][#split]``; None for the benchmark's own on the
            hub. Without a split, all splits that belong to the benchmark.

    Raises:
        ConfigError: None, and the benchmark is not on the hub; or a split must be chosen.
        DataError: when it is missing or damaged.
    """
    if path is None:
        if benchmark.hub is None:
            raise ConfigError(f"--path is needed: {benchmark.name} has no data set on the hub that could be read")
        path = benchmark.hub
    if benchmark.hub_splits and is_hub_path(path) and "#" not in path:
        return read_splits(path, benchmark.hub_splits)
    return read_data_file(Path(path))
