"""Verdicts as JSON and back. What does not fit the schema to the letter is refused in both directions.

``usage`` and ``latency_s`` are not kept: a verdict from the cache cost no tokens and no time at the judge, and whoever
adds up usage must not count the same tokens twice.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from judge.types import Usage, Verdict

Share = Annotated[float, Field(ge=0, le=1)]


class StoredVerdict(BaseModel):
    """The fields of a row; all of them are required."""

    model_config = ConfigDict(strict=True, extra="forbid")

    first_error: Annotated[int, Field(ge=0)] | None
    judge_id: str
    step_error_probs: list[Share] | None
    expected_rts: Share | None
    confidence: Share | None
    critique: str | None


class NotAVerdict(ValueError):
    """A verdict that cannot be kept, or a text that is no verdict of this version."""


def without_cost(verdict: Verdict) -> Verdict:
    """The verdict as a cache gives it back."""
    return replace(verdict, usage=Usage(), latency_s=0.0)


def encode(verdict: Verdict) -> bytes:
    """One line of ASCII, so that a lone surrogate in a critique survives.

    >>> encode(Verdict(1, "rules@1"))[:35]
    b'{"first_error":1,"judge_id":"rules@'

    Raises:
        NotAVerdict: for NaN, infinity, and anything else that could not be read back.
    """
    return json.dumps(check(verdict).model_dump(), separators=(",", ":"), allow_nan=False).encode("ascii")


def check(verdict: Verdict) -> StoredVerdict:
    """What would be written; raises `NotAVerdict` as `encode` does."""
    probs = verdict.step_error_probs
    return fitting(
        {
            "first_error": verdict.first_error,
            "judge_id": verdict.judge_id,
            "step_error_probs": None if probs is None else list(probs),
            "expected_rts": verdict.expected_rts,
            "confidence": verdict.confidence,
            "critique": verdict.critique,
        }
    )


def decode(text: bytes) -> Verdict:
    """The verdict of `encode`.

    Raises:
        NotAVerdict: for anything else: unknown and missing fields, numbers out of range, NaN, no JSON at all.
    """
    try:
        fields = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise NotAVerdict(f"not JSON: {type(error).__name__}") from None
    stored = fitting(fields)
    probs = stored.step_error_probs
    return Verdict(
        first_error=stored.first_error,
        judge_id=stored.judge_id,
        step_error_probs=None if probs is None else tuple(probs),
        expected_rts=stored.expected_rts,
        confidence=stored.confidence,
        critique=stored.critique,
    )


def fitting(fields: Any) -> StoredVerdict:
    """The fields, if they can be a verdict."""
    try:
        stored = StoredVerdict.model_validate(fields)
    except ValidationError as error:
        # Where, not what: a critique may quote a response.
        raise NotAVerdict(f"{error.error_count()} fields do not fit") from None
    probs, index = stored.step_error_probs, stored.first_error
    if probs is not None and index is not None and index >= len(probs):
        raise NotAVerdict(f"step {index} of {len(probs)}")
    return stored


def refuse_constant(name: str) -> NoReturn:
    """JSON has no NaN and no Infinity, though Python reads them."""
    raise ValueError(name)
