r"""Find what stays whole over several lines: code fences and LaTeX displays.

Only pairs count: an opener that nothing closes is plain text, so a stray ```` ``` ```` cannot swallow a response.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

_OPEN_BRACKET: Final = re.compile(r"(?<!\\)\\\[")  # a double backslash before [ is a line break with its spacing
_CLOSE_BRACKET: Final = re.compile(r"(?<!\\)\\\]")
_BEGIN: Final = re.compile(r"\\begin\{([a-zA-Z]{1,30}\*?)\}")
_END: Final = re.compile(r"\\end\{([a-zA-Z]{1,30}\*?)\}")


class Block(NamedTuple):
    """A block that starts at the line asked for."""

    last: int
    """Index of its last line."""
    is_code: bool


class BlockFinder:
    """Answers where a block that opens at a line ends. Linear to build, logarithmic to ask."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self.delimiting: set[int] = set()
        """Lines that may open or close a block. Nearly all prose is none of them, and costs no further look."""
        self._fences: list[int] = []
        self._dollars: list[int] = []
        self._brackets: list[int] = []
        self._ends: defaultdict[str, list[int]] = defaultdict(list)
        for index, line in enumerate(lines):
            if not ("`" in line or "$" in line or "\\" in line):
                continue
            self.delimiting.add(index)
            if line.count("```") % 2:
                self._fences.append(index)
            if line.count("$$") % 2:
                self._dollars.append(index)
            if _CLOSE_BRACKET.search(line):
                self._brackets.append(index)
            for name in set(_END.findall(line)):
                self._ends[name].append(index)

    def blocks(self, index: int) -> Iterator[Block]:
        """The blocks of more than one line that line ``index`` opens, one for each kind of delimiter."""
        if index not in self.delimiting:
            return
        line = self._lines[index]
        if line.count("```") % 2:
            yield from _until_next(self._fences, index, is_code=True)
        opened = -1
        for match in _OPEN_BRACKET.finditer(line):
            opened = match.end()
        if opened >= 0 and not _CLOSE_BRACKET.search(line, opened):
            yield from _until_next(self._brackets, index)
        if line.count("$$") % 2:
            yield from _until_next(self._dollars, index)
        begin = _BEGIN.search(line)
        if begin and line.find(f"\\end{{{begin[1]}}}", begin.end()) < 0:
            yield from _until_next(self._ends.get(begin[1], []), index)


def _until_next(closers: Sequence[int], index: int, *, is_code: bool = False) -> Iterator[Block]:
    position = bisect_right(closers, index)
    if position < len(closers):
        yield Block(closers[position], is_code)
