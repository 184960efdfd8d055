"""Fills the tables of docs/results/learning.md and draws its pictures; the words between them are written by hand."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.learning.pictures import draw_all
from benchmarks.learning.runs import read_results
from benchmarks.learning.tables import TABLES

PAGE = Path("docs/results/learning.md")


def write_report(folder: Path, page: Path = PAGE) -> None:
    """Put the tables of the log in ``folder`` into the page, and the pictures beside it."""
    results = read_results(folder / "runs.jsonl")
    page.write_text(fill(page.read_text(), {name: make(results) for name, make in TABLES.items()}))
    draw_all(results, page.with_suffix(""))


def fill(text: str, tables: dict[str, str]) -> str:
    """The text with each table between its marks, ``<!-- NAME -->`` and ``<!-- end -->``."""
    for name, table in tables.items():
        start, stop = re.escape(f"<!-- {name} -->"), re.escape("<!-- end -->")
        block = f"<!-- {name} -->\n{table}\n<!-- end -->"
        text = re.sub(f"{start}.*?{stop}", lambda _, block=block: block, text, flags=re.DOTALL)  # type: ignore[misc]
    return text
