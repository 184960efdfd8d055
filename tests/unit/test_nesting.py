"""Depth found without parsing agrees with a parser, whatever the strings hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_server.config import LimitSettings
from reward_server.edge.nesting import MAX_DEPTH, MAX_PARTS, nesting_fault
from reward_server.errors import ApiError
from reward_server.schemas import RewardRequest, parse_body

tricky = st.text(alphabet='ab"\\[]{}:,\n', max_size=30)


def depth(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if parts is None else 1 + max(map(depth, parts), default=0)


def wrapped(value: Any, levels: int) -> Any:
    for level in range(levels):
        value = [value, "]"] if level % 2 else {'{"\\': value}
    return value


@settings(max_examples=300)
@given(
    st.recursive(tricky, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(tricky, inner, max_size=3)),
    st.integers(MAX_DEPTH - 4, MAX_DEPTH + 4),
    st.booleans(),
)
def test_depth_is_what_a_parser_finds(value: Any, levels: int, spaces: bool) -> None:
    value = wrapped(value, levels)
    text = json.dumps(value, indent=1 if spaces else None, ensure_ascii=spaces).encode()
    assert (nesting_fault(text) is not None) == (depth(value) > MAX_DEPTH)


def test_a_flood_of_parts_is_refused_before_it_is_parsed() -> None:
    fault = nesting_fault(b"[" + b"[]," * MAX_PARTS + b"[]]")
    assert fault is not None
    assert str(MAX_PARTS) in fault


@pytest.mark.parametrize("body", [b"[" * 100 + b"]" * 100, b'{"groups": ' + b"[" * 40 + b"]" * 40 + b"}"])
def test_a_deep_body_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError, match="more than 32 deep"):
        parse_body(RewardRequest, body, LimitSettings())


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    body = b'{"groups": [], "include_steps": false, "include_steps": true}'
    assert parse_body(RewardRequest, body, LimitSettings()).include_steps


ODD = [
    b"\xef\xbb\xbf{}",
    b'{"groups": [], "x": "\\ud800"}',
    b'{"groups": [], "\\ud800": 1}',
    b'{"groups": "\xed\xa0\x80"}',
    b'{"groups": [], "shaping": {"beta": ' + b"9" * 5000 + b"}}",
    b'{"groups": [], "shaping": {"beta": 1e400}}',
    b'{"groups": [], "shaping": {"beta": NaN}}',
    b'{"groups": [], "shaping": {"beta": -Infinity}}',
    b'{"groups": []}\x00',
    b'{"groups": [',
    b"null",
    b"",
]


@pytest.mark.parametrize("body", ODD)
def test_odd_bodies_are_refused_and_not_repeated(body: bytes) -> None:
    with pytest.raises(ApiError) as refusal:
        parse_body(RewardRequest, body, LimitSettings())
    assert refusal.value.status == 422
    assert "999" not in refusal.value.message
    assert refusal.value.message.isascii()
