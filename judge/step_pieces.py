"""The first half of the segmentation: lines, over-long ones cut at sentence ends and, failing that, at spaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from judge.unicode_text import canonical_word, clusters

if TYPE_CHECKING:
    from judge.steps import SegmentSettings


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


class Piece(NamedTuple):
    """A line, or a part of an over-long line."""

    line: int
    indent: int
    glued: bool
    text: str
    start: int
    end: int
    size: int
    has_content: bool


_TAB_WIDTH = 4
_NON_SPACE = re.compile(r"\S+")


def pieces_of(text: str, settings: SegmentSettings) -> Iterator[Piece]:
    """The non-blank lines, over-long ones in parts."""
    offset = 0
    for number, raw in enumerate(text.splitlines(keepends=True)):
        plain = _plain_piece(raw, number, offset)
        if plain is not None and plain.size <= settings.split_chars:
            yield plain
        else:
            words = list(_words(raw, offset))
            if words:
                yield from _cut_line(_Line(number, _indent(raw[: words[0].start - offset]), words, text), settings)
        offset += len(raw)


_ASCII_CONTENT = re.compile("[A-Za-z0-9]")
_SAFE = re.compile(
    "[ -~\u00a1-\u00ac\u00ae-\u02ff\u0391-\u03a1\u03a3-\u03a9\u03b1-\u03c9"  # Latin, Greek
    "\u2010-\u2027\u2030-\u205e\u2190-\u22ff\u4e00-\u9fff]+"  # punctuation, arrows and operators, Chinese
)
"""Common characters that are seen, are in canonical form and combine with nothing."""


def _plain_piece(raw: str, number: int, offset: int) -> Piece | None:
    """A line of such characters, which needs no look at its words; None for any other."""
    text = " ".join(raw.split())
    if text.isascii():
        if not (text and text.isprintable()):
            return None
        has_content = _ASCII_CONTENT.search(text) is not None
    elif _SAFE.fullmatch(text):
        has_content = any(map(str.isalnum, text))
    else:
        return None
    body = raw.lstrip()
    start = len(raw) - len(body)
    indent = _indent(raw[:start]) if start else 0
    end = start + len(body.rstrip())
    size = len(text) - text.count(" ")
    return Piece(number, indent, False, text, offset + start, offset + end, size, has_content)


def _words(raw: str, offset: int) -> Iterator[_Word]:
    """The words of a line in canonical form."""
    for match in _NON_SPACE.finditer(raw):
        word = canonical_word(match.group())
        if word:
            yield _Word(word, offset + match.start(), offset + match.end())


def _indent(margin: str) -> int:
    """Width of what stands before a line's first word."""
    return sum(_TAB_WIDTH if character == "\t" else 1 for character in margin if character.isspace())


def _cut_line(line: _Line, settings: SegmentSettings) -> Iterator[Piece]:
    """The line itself, or its sentences when it is long, or parts of those when they are too long as well."""
    if _size(line.words) <= settings.split_chars:
        yield _piece(line, line.words)
        return
    for sentences in _join_small(_sentences(line.words), settings.min_chars):
        for part in _cut_hard(line.source, sentences, settings):
            yield _piece(line, part)


_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]}*$]*$")
_AT_SENTENCE_END = frozenset(".!?…。！？\"'”’)]}*$")
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
    if word[-1] not in _AT_SENTENCE_END:
        return False
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


def _piece(line: _Line, words: list[_Word]) -> Piece:
    first, *rest = words
    text = first.text + "".join(word.text if word.glued else f" {word.text}" for word in rest)
    size, has_content = _size(words), _has_content(words)
    return Piece(line.number, line.indent, first.glued, text, first.start, words[-1].end, size, has_content)
