"""Token ids of a text that a template and untrusted parts make up, cut at known places.

The published schemes tokenise the whole text, so that characters may merge across the border of two parts. Here too,
but special tokens count in the template alone, and the borders come from character offsets.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the text."""

    text: str
    template: bool = False
    """Whether special tokens in it are special. In a problem or a step they are plain text."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token and the characters of the whole text that it stands for."""

    id: int
    start: int
    end: int


def tokenize(tokenizer: Any, pieces: Sequence[Piece]) -> list[Token]:
    """The ids that the joined text has when special tokens are special in template pieces only."""
    runs = _runs(tokenizer, pieces)
    plain = [text for text, special in runs if special is None]
    encoded = iter(plain_tokens(tokenizer, plain, add_special_tokens=False) if plain else ())
    tokens: list[Token] = []
    at = 0
    for text, special in runs:
        if special is None:
            tokens += [Token(token.id, at + token.start, at + token.end) for token in next(encoded)]
        else:
            tokens.append(Token(special, at, at + len(text)))
        at += len(text)
    return tokens


def plain_tokens(tokenizer: Any, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[Token]]:
    """Tokens of texts in which nothing is special.

    Args:
        add_special_tokens: let the tokenizer put its own around each text; they stand for no characters.
    """
    batch = tokenizer(
        list(texts), add_special_tokens=add_special_tokens, split_special_tokens=True, return_offsets_mapping=True
    )
    rows = zip(batch["input_ids"], batch["offset_mapping"], strict=True)
    return [[Token(number, *place) for number, place in zip(*row, strict=True)] for row in rows]


def cut(tokens: Sequence[Token], borders: Sequence[int]) -> list[list[Token]]:
    """Tokens up to each border; one that crosses a border comes after it, and what is after the last is dropped.

    Args:
        borders: rising character positions.
    """
    parts: list[list[Token]] = [[] for _ in borders]
    for token in tokens:
        place = bisect_left(borders, token.end)
        if place < len(borders):
            parts[place].append(token)
    return parts


def _runs(tokenizer: Any, pieces: Sequence[Piece]) -> list[tuple[str, int | None]]:
    """Neighbouring text without special tokens as one run (id None), and the special tokens between."""
    vocabulary = tokenizer.get_added_vocab()
    pattern = re.compile("(" + "|".join(map(re.escape, sorted(vocabulary, key=len, reverse=True))) + ")")
    runs: list[tuple[str, int | None]] = []
    text = ""
    for piece in pieces:
        parts = pattern.split(piece.text) if piece.template and vocabulary else [piece.text]
        for number, part in enumerate(parts):
            if number % 2 == 0:
                text += part
                continue
            runs += [(text, None)] if text else []
            runs.append((part, vocabulary[part]))
            text = ""
    return [*runs, (text, None)] if text else runs
