"""``sgpo-eval report DIR [DIR ...] --output report.html``: one page about judges, attacks and policies."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eval.commands.options import require_numbers
from judge.command_line import OK, complain
from judge.errors import ConfigError

if TYPE_CHECKING:
    from eval.report.folders import JudgeRun
    from judge.types import Record

DESCRIPTION: Final = (
    "Write one self-contained HTML page and a Markdown file beside it from the folders of `run`, `score`, `attack` and "
    "`policy`. Several judges on the same rows are compared, a row each."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    parser = commands.add_parser("report", help="a page from one or more run folders", description=DESCRIPTION)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="folder of a finished run")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE.html", help="the page; FILE.md beside it")
    parser.add_argument("--brief", action="store_true", help="without heat maps and the worst cases")
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="PATH",
        help="the data of a run (repeatable), for the worst cases; default: where the run found it",
    )


def main(args: argparse.Namespace) -> int:
    """Write a report."""
    if args.output.suffix != ".html":
        raise ConfigError(f"--output {args.output}: give a name that ends with .html")
    require_numbers()
    from eval.report.folders import read_folders
    from eval.report.page import make_page, require_packages, write_report

    require_packages()
    contents = read_folders(args.folders)
    page = make_page(contents, _data(contents.judges, args.path))
    for path in write_report(page.brief() if args.brief else page, args.output):
        print(path)
    return OK


def _data(runs: tuple[JudgeRun, ...], given: list[str]) -> dict[str, dict[str, Record]]:
    """The solutions of the runs, by the digest of their data.

    Files that the user names must fit a run; where a run's own path leads to nothing, its cases are left out. Nothing
    is fetched from the hub unless the user names it.
    """
    from eval.benchmarks.base import get_benchmark, read_benchmark_file
    from judge.errors import DataError

    wanted = {run.summary.data_digest: run.summary.benchmark for run in runs}
    found: dict[str, dict[str, Record]] = {}
    for path in dict.fromkeys([*given, *(run.summary.path for run in runs)]):
        missing = [digest for digest in wanted if digest not in found]
        if not missing or (path not in given and not Path(path).exists()):
            continue
        for name in dict.fromkeys(wanted[digest] for digest in missing):
            benchmark = get_benchmark(name)
            data = read_benchmark_file(benchmark, path)
            if data.digest in missing and wanted[data.digest] == name:
                found[data.digest] = {example.id: example for example in benchmark.load(data)}
                break
        else:
            if path in given:
                raise DataError(f"--path {path}: is not the data of any of these runs (another digest)")
            complain(f"{path} has changed since the run: its worst cases are left out; give the data with --path", OK)
    return found
