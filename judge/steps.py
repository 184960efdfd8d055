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

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from pydantic import Field, model_validator

from judge.blocks import BlockFinder
from judge.settings import Settings
from judge.unicode_text import canonical_word, clusters

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


@dataclass(frozen=True, slots=True)
class Step:
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
    pieces = [piece for line in _lines(text) for piece in _cut_line(line, settings)]
    units = list(_units(pieces, settings))
    return tuple(_step(group) for group in _group(units, settings))


class _Word(NamedTuple):
    text: str
    """Canonical, without spaces, not empty."""
    start: int
    end: int
    glued: bool = False
    """True when no space separates it from the word before: the two are parts of one over-long word."""


class _Line(NamedTuple):
    number: int
    indent: int
    words: list[_Word]
    source: str
    """The whole original text, which the words' offsets point into."""


class _Piece(NamedTuple):
    """A line, or a part of an over-long line."""

    line: int
    indent: int
    glued: bool
    text: str
    start: int
    end: int
    size: int
    has_content: bool


_Unit = list[_Piece]
"""What is never cut: a piece, or all pieces of a LaTeX or code block."""

_TAB_WIDTH = 4
_NON_SPACE = re.compile(r"\S+")


def _lines(text: str) -> Iterator[_Line]:
    """The non-blank lines, with their words in canonical form."""
    offset = 0
    for number, raw in enumerate(text.splitlines(keepends=True)):
        words = []
        for match in _NON_SPACE.finditer(raw):
            word = canonical_word(match.group())
            if word:
                words.append(_Word(word, offset + match.start(), offset + match.end()))
        if words:
            blank = [character for character in raw[: words[0].start - offset] if character.isspace()]
            indent = sum(_TAB_WIDTH if character == "\t" else 1 for character in blank)
            yield _Line(number, indent, words, text)
        offset += len(raw)


def _cut_line(line: _Line, settings: SegmentSettings) -> Iterator[_Piece]:
    """The line itself, or its sentences when it is long, or parts of those when they are too long as well."""
    if _size(line.words) <= settings.split_chars:
        yield _piece(line, line.words)
        return
    for sentences in _join_small(_sentences(line.words), settings.min_chars):
        for part in _cut_hard(line.source, sentences, settings):
            yield _piece(line, part)


_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]}*$]*$")
_ABBREVIATIONS = ("e.g.", "i.e.", "mr.", "mrs.", "ms.", "dr.", "vs.", "approx.", "fig.", "eq.")
_LONGEST_ABBREVIATION = max(map(len, _ABBREVIATIONS))


def _sentences(words: Sequence[_Word]) -> Iterator[list[_Word]]:
    """Cut after a word that ends a sentence, unless the next one goes on in lower case."""
    sentence: list[_Word] = []
    for word in words:
        if sentence and not word.text[0].islower() and _ends_sentence(sentence[-1].text):
            yield sentence
            sentence = []
        sentence.append(word)
    yield sentence


def _ends_sentence(word: str) -> bool:
    # Only the end of a word can matter, and a word may be 100,000 characters long.
    tail = word[-16:]
    return _SENTENCE_END.search(tail) is not None and not tail.lower().endswith(_ABBREVIATIONS)


def _join_small(sentences: Iterable[list[_Word]], min_chars: int) -> list[list[_Word]]:
    """Join sentences that are too small, or hold no letter or digit, to the next one; the last to the one before."""
    joined: list[list[_Word]] = []
    waiting: list[_Word] = []
    size, has_content = 0, False
    for sentence in sentences:
        waiting.extend(sentence)
        size += _size(sentence)
        has_content = has_content or _has_content(sentence)
        if size >= min_chars and has_content:
            joined.append(waiting)
            waiting, size, has_content = [], 0, False
    if waiting and joined:
        joined[-1].extend(waiting)
    elif waiting:
        joined.append(waiting)
    return joined


def _cut_hard(source: str, words: list[_Word], settings: SegmentSettings) -> list[list[_Word]]:
    """Cut what is longer than ``max_chars``: at a space in the second half of a part, else within a word.

    Every part holds a letter or digit, and a rest of less than ``min_chars`` stays with the last part: no part is
    dropped or joined later on.
    """
    limit = settings.max_chars
    remaining = _size(words)
    if remaining <= limit + settings.min_chars:
        return [words]
    parts: list[list[_Word]] = []
    part: list[_Word] = []
    size, has_content = 0, False
    for atom in (atom for word in words for atom in _atoms(source, word, limit // 2)):
        full = size + len(atom.text) > limit or (not atom.glued and 2 * size >= limit)
        worth_it = remaining > limit + settings.min_chars and remaining - size >= settings.min_chars
        if full and has_content and worth_it:
            parts.append(part)
            remaining -= size
            part, size, has_content = [], 0, False
        part.append(atom)
        size += len(atom.text)
        has_content = has_content or _has_content([atom])
    if parts and not has_content:
        parts[-1].extend(part)
    else:
        parts.append(part)
    return parts


def _atoms(source: str, word: _Word, longest: int) -> list[_Word]:
    """The word, or what is left of it between safe places to cut when it is long."""
    if len(word.text) <= longest:
        return [word]
    atoms: list[_Word] = []
    for start, end in clusters(source, word.start, word.end):
        cluster = canonical_word(source[start:end])
        if cluster:
            atoms.append(_Word(cluster, start, end, glued=bool(atoms)))
    # The end of a word stays whole: half an abbreviation would end a sentence.
    tail = atoms.pop()
    while atoms and len(tail.text) < _LONGEST_ABBREVIATION:
        head = atoms.pop()
        tail = _Word(head.text + tail.text, head.start, tail.end, head.glued)
    return [*atoms, tail]


def _size(words: Iterable[_Word]) -> int:
    return sum(len(word.text) for word in words)


def _has_content(words: Iterable[_Word]) -> bool:
    return any(any(map(str.isalnum, word.text)) for word in words)


def _piece(line: _Line, words: list[_Word]) -> _Piece:
    first, *rest = words
    text = first.text + "".join(word.text if word.glued else f" {word.text}" for word in rest)
    size, has_content = _size(words), _has_content(words)
    return _Piece(line.number, line.indent, first.glued, text, first.start, words[-1].end, size, has_content)


def _units(pieces: Sequence[_Piece], settings: SegmentSettings) -> Iterator[_Unit]:
    """Put the pieces of each block together, and drop what has no letter or digit."""
    finder = BlockFinder([piece.text for piece in pieces])
    # Pieces without content outside blocks are dropped; so that this cannot change a block's size, they count nothing.
    sizes = [0, *accumulate(piece.size if piece.has_content else 0 for piece in pieces)]
    index = 0
    while index < len(pieces):
        fitting = (
            block for block in finder.blocks(index) if sizes[block.last + 1] - sizes[index] <= settings.max_chars
        )
        last, is_code = next(fitting, (index, False))
        unit = pieces[index : last + 1]
        if sizes[last + 1] > sizes[index]:
            yield [piece._replace(indent=piece.indent if is_code and n else 0) for n, piece in enumerate(unit)]
        index = last + 1


def _wants_more(unit: _Unit, settings: SegmentSettings) -> bool:
    """True for a heading, and for a line that announces the next one."""
    # Parts cut out of the middle of a long sentence are longer than split_chars: none of them is a heading.
    if sum(piece.size for piece in unit) >= settings.split_chars:
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
        size += sum(piece.size for piece in unit)
        if size < settings.max_chars and (size < settings.min_chars or _wants_more(unit, settings)):
            continue
        if ready:
            yield ready
        ready, waiting, size = waiting, [], 0
    if ready and size < settings.min_chars:
        ready, waiting = ready + waiting, []
    yield from (group for group in (ready, waiting) if group)


def _step(group: Sequence[_Piece]) -> Step:
    parts = [group[0].text]
    for before, piece in pairwise(group):
        parts.append("\n" + " " * piece.indent if piece.line != before.line else "" if piece.glued else " ")
        parts.append(piece.text)
    return Step("".join(parts), group[0].start, group[-1].end)
