"""Fills the tables of docs/results/learning.md and draws its pictures; the words between them are written by hand."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.learning.figures import FIGURES
from benchmarks.learning.pictures import PICTURES, draw_all
from benchmarks.learning.runs import key_of, read_results
from benchmarks.learning.tables import TABLES

PAGE = Path("docs/results/learning.md")


def write_report(folder: Path, page: Path = PAGE) -> None:
    """Put the tables of the log in ``folder`` into the page, and the pictures beside it.

    Figures of which runs are missing in the log stay as they are; the count of runs is that of a whole study.
    """
    results = read_results(folder / "runs.jsonl")
    missing = {name for name, specs in FIGURES.items() if any(key_of(spec) not in results for spec in specs())}
    if missing:
        missing.add("count")
    tables = {name: make(results) for name, make in TABLES.items() if name not in missing}
    page.write_text(fill(page.read_text(), tables))
    draw_all(results, page.with_suffix(""), [name for name in PICTURES if name not in missing])


def fill(text: str, tables: dict[str, str]) -> str:
    """The text with each table between its marks, ``<!-- NAME -->`` and ``<!-- end -->``."""
    for name, table in tables.items():
        start, stop = re.escape(f"<!-- {name} -->"), re.escape("<!-- end -->")
        block = f"<!-- {name} -->\n{table}\n<!-- end -->"
        text = re.sub(f"{start}.*?{stop}", lambda _, block=block: block, text, flags=re.DOTALL)  # type: ignore[misc]
    return text
