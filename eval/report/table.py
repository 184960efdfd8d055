"""A table that both the page and the Markdown file show: cells are texts, some with a bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell."""

    text: str
    note: str = ""
    """Small, below the text."""
    bar: tuple[float, float, float] | None = None
    """Low, value and high in [0, 1], drawn on a track."""
    is_bad: bool = False
    """Stands out."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row: its name and its cells."""

    name: str
    cells: tuple[Cell, ...]
    note: str = ""
    is_baseline: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A heading, what it shows, and the rows."""

    title: str
    caption: str
    columns: tuple[str, ...]
    """The first is that of the names."""
    lines: tuple[Line, ...]


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent, a dash for None.

    >>> percent(0.1234), percent(None)
    ('12.3%', '–')
    """
    return "–" if value is None else f"{value:z.{digits}%}"


def number(value: float | None, digits: int = 2) -> str:
    """A number, a dash for None; what rounds to 0 has no sign.

    >>> number(0.126), number(-0.0001)
    ('0.13', '0.00')
    """
    return "–" if value is None else f"{value:z.{digits}f}"


def spread(bounds: Sequence[float | None] | None, scale: float = 100.0, digits: int = 1) -> str:
    """An interval: ``3.3 to 16.7``; empty for None."""
    if bounds is None or any(bound is None for bound in bounds):
        return ""
    low, high = (scale * bound for bound in bounds if bound is not None)
    return f"{low:z.{digits}f} to {high:z.{digits}f}"


def share_cell(value: float | None, bounds: Sequence[float] | None = None, *, bar: bool = False) -> Cell:
    """A share with its interval."""
    drawn = (bounds[0], value, bounds[1]) if bar and value is not None and bounds is not None else None
    return Cell(percent(value), spread(bounds), drawn)
