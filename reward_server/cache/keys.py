"""The name under which a verdict is kept: a digest of everything that can change it, and of nothing else.

The reward's shaping is not in the key: verdicts are cached, not rewards, so one verdict serves requests with any
``beta``, ``gamma``, ``cap`` or unit of length. Neither is the response's id, its group or who asked: callers share
verdicts, and can tell by ``cached`` that somebody has sent the very same text before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from judge.steps import SEGMENTER_VERSION
from judge.types import Solution

KEY_SCHEMA: Final = 1
"""To be raised when the fields below, their order or their encoding change."""
ABSENT: Final = b"\x00"
PRESENT: Final = b"\x01"


def verdict_key(judge_id: str, solution: Solution) -> str:
    """64 hex digits of SHA-256 over length-prefixed fields.

    Args:
        judge_id: names the judge's weights, prompt and decoding.
        solution: all that the judge reads.

    >>> one = verdict_key("rules@1", Solution("1+1?", ("ab", "c")))
    >>> one == verdict_key("rules@1", Solution("1+1?", ("a", "bc")))
    False
    """
    # The length in front keeps ("ab", "c") apart from ("a", "bc").
    fields = [len(field).to_bytes(8, "big") + field for field in key_fields(judge_id, solution)]
    return hashlib.sha256(b"".join(fields)).hexdigest()


def key_fields(judge_id: str, solution: Solution) -> Iterator[bytes]:
    """The fields, in an order that is part of the schema."""
    yield str(KEY_SCHEMA).encode()
    yield as_bytes(SEGMENTER_VERSION)
    yield as_bytes(judge_id)
    yield as_bytes(solution.problem)
    yield optional(solution.reference_solution)
    yield optional(solution.reference_answer)
    yield PRESENT if solution.known_wrong else ABSENT
    # How many steps follow needs no field: they are the last ones, and each carries its length.
    yield from map(as_bytes, solution.steps)


def optional(text: str | None) -> bytes:
    """None and the empty string differ: a judge may say so in its prompt."""
    return ABSENT if text is None else PRESENT + as_bytes(text)


def as_bytes(text: str) -> bytes:
    """The text's bytes; lone surrogates, which JSON can carry and UTF-8 cannot, keep their identity."""
    return text.encode("utf-8", "surrogatepass")
