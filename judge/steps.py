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
from typing import Final, NamedTuple

from pydantic import Field, model_validator

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
    """One step: canonical text, and where it came from.

    >>> [step.text for step in segment("She has 3 + 4 = 7 eggs.\\r\\n\\r\\n---\\r\\nShe sells 2 of them.")]
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
    text: str


class _Piece(NamedTuple):
    """A line, or a part of an over-long line."""

    line: int
    indent: int
    text: str
    start: int
    end: int
    size: int
    has_content: bool


_Unit = list[_Piece]
"""What is never cut: a piece, or all pieces of a LaTeX or code block."""

_TAB_WIDTH = 4


def _lines(text: str) -> Iterator[_Line]:
    """The non-blank lines, with their words in canonical form."""
    offset = 0
    for number, raw in enumerate(text.splitlines(keepends=True)):
        words = []
        for match in re.finditer(r"\S+", raw):
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
        for part in _cut_hard(line.text, sentences, settings):
            yield _piece(line, part)


_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]}*$]*$")
_ABBREVIATIONS = ("e.g.", "i.e.", "mr.", "mrs.", "ms.", "dr.", "vs.", "approx.", "fig.", "eq.")


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
    open_words: list[_Word] = []
    for sentence in sentences:
        open_words = open_words + sentence if open_words else sentence
        if _size(open_words) >= min_chars and _has_content(open_words):
            joined.append(open_words)
            open_words = []
    if open_words and joined:
        joined[-1] = joined[-1] + open_words
    elif open_words:
        joined.append(open_words)
    return joined


def _cut_hard(text: str, words: list[_Word], settings: SegmentSettings) -> Iterator[list[_Word]]:
    """Cut what is longer than ``max_chars``: at the last space of the second half, else within a word.

    A rest of less than ``min_chars`` stays with the last part, so that no part is small enough to be joined again.
    """
    limit = settings.max_chars
    remaining = _size(words)
    if remaining <= limit + settings.min_chars:
        yield words
        return
    atoms = [atom for word in words for atom in _atoms(text, word, limit // 2)]
    part: list[_Word] = []
    size = 0
    for atom in atoms:
        full = size + len(atom.text) > limit or (not atom.glued and size >= limit - limit // 2)
        if part and full and remaining > limit + settings.min_chars:
            yield part
            remaining -= size
            part, size = [], 0
        part.append(atom)
        size += len(atom.text)
    yield part


def _atoms(text: str, word: _Word, longest: int) -> Iterator[_Word]:
    """The word, or what is left of it between safe places to cut when it is long."""
    if len(word.text) <= longest:
        yield word
        return
    glued = False
    for start, end in clusters(text, word.start, word.end):
        cluster = canonical_word(text[start:end])
        if cluster:
            yield _Word(cluster, start, end, glued)
            glued = True
