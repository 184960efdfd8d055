"""Sampled responses for the report: which ones to show, and their text cut into coloured steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Literal

MAX_TRAINING_STEPS: Final = 4
MAX_PER_STEP: Final = 8
MAX_STEP_CHARACTERS: Final = 1500
STEPS_AROUND: Final = 8
"""Steps shown at the beginning of a long response and on each side of its first error."""
STATUS_ORDER: Final = ("judged", "unscored", "correct", "wrong")

Row = Mapping[str, Any]
Colour = Literal["right", "first-error", "after", "plain", "left-out"]


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a response's text in one colour."""

    colour: Colour
    text: str
    number: int | None = None
    """0-based index of the step, as in the verdict; None for text that belongs to no step."""


@dataclass(frozen=True, slots=True)
class Card:
    """One response with what was said of it."""

    status: str
    reward: float | None
    rts: float | None
    advantage: float | None
    first_error: int | None
    num_steps: int | None
    truncated: bool
    error: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class SampleGroup:
    """Responses to one problem at one training step."""

    step: int
    problem: str
    answer: str
    cards: tuple[Card, ...]


def sample_groups(rows: Sequence[Row]) -> list[SampleGroup]:
    """Choose responses from the rows of ``samples.jsonl`` and lay them out.

    A few training steps, evenly spread from the first to the last, and of each a few responses: judged ones first.
    """
    steps = sorted({row["step"] for row in rows if isinstance(row.get("step"), int)})
    count = min(len(steps), MAX_TRAINING_STEPS)
    chosen = [steps[round(i * (len(steps) - 1) / max(1, count - 1))] for i in range(count)]
    groups: list[SampleGroup] = []
    for step in chosen:
        here = [row for row in rows if row.get("step") == step]
        here = sorted(here, key=_rank)[:MAX_PER_STEP]
        here.sort(key=_problem)  # stable: within a problem the judged ones stay first
        for (problem, answer), members in groupby(here, key=_problem):
            groups.append(SampleGroup(step, clean(problem), clean(answer), tuple(_card(row) for row in members)))
    return groups


def _rank(row: Row) -> int:
    status = row.get("status")
    return STATUS_ORDER.index(status) if status in STATUS_ORDER else len(STATUS_ORDER)


def _problem(row: Row) -> tuple[str, str]:
    return str(row.get("problem", "")), str(row.get("answer", ""))


def _card(row: Row) -> Card:
    error = row.get("error")
    if isinstance(error, Mapping):
        error = f"{error.get('code', '')}: {error.get('message', '')}"
    offsets = row.get("step_offsets")
    return Card(
        status=str(row.get("status", "")),
        reward=row.get("reward"),
        rts=row.get("rts"),
        advantage=row.get("advantage"),
        first_error=row.get("first_error"),
        num_steps=None if offsets is None else len(offsets),
        truncated=bool(row.get("truncated")),
        error=clean(str(error or "")),
        blocks=cut(str(row.get("text", "")), offsets, row.get("first_error")),
    )


def cut(text: str, offsets: Sequence[Sequence[int]] | None, first_error: int | None) -> tuple[Block, ...]:
    """Cut a response into its steps: right before the first error, wrong from there on.

    Without a verdict the steps are plain: a right final answer does not make every step right. Of a response with many
    steps only the beginning and the neighbourhood of the first error are kept.

    >>> [(block.colour, block.text) for block in cut("1+1=2 2+1=4", [[0, 5], [6, 11]], 1)]
    [('right', '1+1=2'), ('first-error', '2+1=4')]
    """
    if not offsets:
        return (Block("plain", clip(text)),)
    blocks: list[Block] = []
    end, hidden = 0, 0
    for index, (start, stop) in enumerate(offsets):
        between, end = text[end:start], stop
        if not _is_shown(index, len(offsets), first_error):
            hidden += 1
            continue
        if hidden:
            blocks.append(_left_out(hidden))
            hidden, between = 0, ""
        if between.strip():
            blocks.append(Block("plain", clip(between)))
        blocks.append(Block(_colour(index, first_error), clip(text[start:stop]), index))
    if hidden:
        blocks.append(_left_out(hidden))
    elif text[end:].strip():
        blocks.append(Block("plain", clip(text[end:])))
    return tuple(blocks)


def _is_shown(index: int, num_steps: int, first_error: int | None) -> bool:
    centre = num_steps - 1 if first_error is None else first_error
    return num_steps <= 4 * STEPS_AROUND or index < STEPS_AROUND or abs(index - centre) <= STEPS_AROUND


def _colour(index: int, first_error: int | None) -> Colour:
    if first_error is None:
        return "plain"
    if index < first_error:
        return "right"
    return "first-error" if index == first_error else "after"


def _left_out(num_steps: int) -> Block:
    return Block("left-out", f"{num_steps:,} steps are not shown")


def clip(text: str) -> str:
    """The text without blank edges, printable, and cut where it is too long to read."""
    text = text.strip()
    if len(text) > MAX_STEP_CHARACTERS:
        text = f"{text[:MAX_STEP_CHARACTERS]} … ({len(text) - MAX_STEP_CHARACTERS:,} characters are not shown)"
    return clean(text)


def clean(text: str) -> str:
    """Replace what no page may hold (control characters, halves of surrogate pairs) by the replacement character."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_unprintable(char) else char for char in text)


def _is_unprintable(char: str) -> bool:
    code = ord(char)
    return (code < 0x20 and char not in "\t\n\r") or 0x7F <= code < 0xA0 or 0xD800 <= code <= 0xDFFF
