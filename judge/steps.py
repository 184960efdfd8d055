r"""Cut a response into steps. The cut is ours and never the policy's.

A step is a line. A line longer than ``split_chars`` is cut at its sentence ends; a LaTeX display (``\[ \]``, ``$$ $$``,
``\begin{} \end{}``) or a code fence is one step however many lines it has, up to ``max_chars``. Fragments shorter than
``min_chars``, headings and lines that end with a colon are joined to what follows. Blank lines, lines without a letter
or digit (``---``, ``***``, empty bullets), invisible characters, kinds of line end and runs of spaces change nothing.

Sizes count non-space characters of the canonical text, so that spacing cannot move a border. Deciding from the lines'
canonical text alone keeps the segmentation idempotent: joining the steps with one or several newlines and segmenting
again gives the same steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from pydantic import Field, model_validator

from judge.blocks import BlockFinder
from judge.settings import Settings
from judge.step_pieces import Piece, pieces_of

SEGMENTER_VERSION: Final = "seg1"
"""Changes whenever the same text may give other steps; part of every judge id."""


class SegmentSettings(Settings):
    """Sizes of a step, in non-space characters."""

    min_chars: int = Field(default=8, ge=1)
    """A shorter fragment is joined to the next one (the last one: to the one before)."""
    split_chars: int = Field(default=300, ge=1)
    """A longer line is cut at its sentence ends."""
    max_chars: int = Field(default=1500, ge=2)
    """A longer sentence is cut at a space, or anywhere; a longer LaTeX or code block falls back to lines."""

    @model_validator(mode="after")
    def _ordered(self) -> SegmentSettings:
        if not (self.min_chars <= self.split_chars and 2 * self.split_chars <= self.max_chars):
            raise ValueError("needs min_chars <= split_chars and 2 * split_chars <= max_chars")
        return self

    @property
    def fingerprint(self) -> str:
        """Version and sizes, e.g. ``seg1-8-300-1500``: all that decides the steps of a text."""
        return f"{SEGMENTER_VERSION}-{self.min_chars}-{self.split_chars}-{self.max_chars}"


DEFAULT: Final = SegmentSettings()


class Step(NamedTuple):
    r"""One step: canonical text, and where it came from.

    >>> [step.text for step in segment("She has 3 + 4 = 7 eggs.\r\n\r\n---\r\nShe sells 2 of them.")]
    ['She has 3 + 4 = 7 eggs.', 'She sells 2 of them.']
    """

    text: str
    start: int
    """First character of the step in the original text."""
    end: int
    """One past its last character. Steps do not overlap; what lies between them belongs to none."""


def segment(text: str, settings: SegmentSettings = DEFAULT) -> tuple[Step, ...]:
    """Cut ``text`` into steps, in linear time. Text that holds no letter or digit has none."""
    pieces = list(pieces_of(text, settings))
    units = list(_units(pieces, settings))
    return tuple(_step(group) for group in _group(units, settings))


_Unit = list[Piece]
"""What is never cut: a piece, or all pieces of a LaTeX or code block."""


def _units(pieces: Sequence[Piece], settings: SegmentSettings) -> Iterator[_Unit]:
    """Put the pieces of each block together, and drop what has no letter or digit."""
    finder = BlockFinder([piece.text for piece in pieces])
    # Pieces without content outside blocks are dropped; so that this cannot change a block's size, they count nothing.
    sizes = [0, *accumulate(piece.size if piece.has_content else 0 for piece in pieces)]
    index = 0
    while index < len(pieces):
        if index not in finder.delimiting:
            if sizes[index + 1] > sizes[index]:
                yield [_flat(pieces[index])]
            index += 1
            continue
        fitting = (
            block for block in finder.blocks(index) if sizes[block.last + 1] - sizes[index] <= settings.max_chars
        )
        last, is_code = next(fitting, (index, False))
        if sizes[last + 1] > sizes[index]:
            first, *others = pieces[index : last + 1]
            yield [_flat(first), *(others if is_code else map(_flat, others))]
        index = last + 1


def _flat(piece: Piece) -> Piece:
    """Without its indent, which means something inside code only."""
    return piece._replace(indent=0) if piece.indent else piece


def _size(unit: _Unit) -> int:
    return unit[0].size if len(unit) == 1 else sum(piece.size for piece in unit)


def _wants_more(unit: _Unit, settings: SegmentSettings) -> bool:
    """True for a heading, and for a line that announces the next one."""
    # Parts cut out of the middle of a long sentence are longer than split_chars: none of them is a heading.
    if _size(unit) >= settings.split_chars:
        return False
    start, end = unit[0].text, unit[-1].text.rstrip("*_# ")
    is_heading = start.startswith("#") or (start.startswith("**") and unit[-1].text.endswith("**"))
    return end.endswith(":") or (is_heading and not end.endswith((".", "!", "?")))


def _group(units: Iterable[_Unit], settings: SegmentSettings) -> Iterator[_Unit]:
    """Join small units and headings to the next unit, and a small last one to the group before."""
    ready: _Unit = []
    waiting: _Unit = []
    size = 0
    for unit in units:
        waiting.extend(unit)
        size += _size(unit)
        if size < settings.max_chars and (size < settings.min_chars or _wants_more(unit, settings)):
            continue
        if ready:
            yield ready
        ready, waiting, size = waiting, [], 0
    if ready and size < settings.min_chars:
        ready, waiting = ready + waiting, []
    yield from (group for group in (ready, waiting) if group)


def _step(group: Sequence[Piece]) -> Step:
    if len(group) == 1:
        return Step(group[0].text, group[0].start, group[0].end)
    parts = [group[0].text]
    for before, piece in pairwise(group):
        parts.append("\n" + " " * piece.indent if piece.line != before.line else "" if piece.glued else " ")
        parts.append(piece.text)
    return Step("".join(parts), group[0].start, group[-1].end)
