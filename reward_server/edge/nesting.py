"""How deeply a JSON text is nested and how many parts it has, found before it is parsed."""

from __future__ import annotations

from itertools import accumulate

MAX_DEPTH = 32
MAX_PARTS = 500_000
"""Arrays and objects of one body."""
_OTHERS = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def nesting_fault(body: bytes) -> str | None:
    """What is too much about a body, or None.

    For texts that are no JSON the answer means nothing; the parser refuses those.

    >>> nesting_fault(b"[" * 32 + b"]" * 32), nesting_fault(b'["' + b"[" * 99 + b'"]')
    (None, None)
    >>> nesting_fault(b'{"a":' * 33 + b"1" + b"}" * 33)
    'arrays and objects stand in each other more than 32 deep'
    """
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return None
    # Pairs of backslashes first: what then still escapes a quote really does.
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Every second piece between quotes is a string.
    structure = b"".join(plain.translate(None, _OTHERS).split(b'"')[::2])
    if len(structure) > 2 * MAX_PARTS:
        return f"more than {MAX_PARTS} arrays and objects"
    if max(accumulate(map(_STEPS.__getitem__, structure)), default=0) > MAX_DEPTH:
        return f"arrays and objects stand in each other more than {MAX_DEPTH} deep"
    return None
