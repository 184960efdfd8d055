"""Verdicts as sealed JSON: exact round trips, and nothing believed that does not fit."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from judge.types import Usage, Verdict
from reward_server.cache.codec import NotAVerdict, decode, encode
from reward_server.cache.seal import BrokenSeal, Seal

SHARES = st.floats(0, 1)
VERDICTS = st.builds(
    Verdict,
    first_error=st.none() | st.integers(0, 3),
    judge_id=st.text(max_size=20),
    step_error_probs=st.none() | st.lists(SHARES, min_size=4, max_size=9).map(tuple),
    expected_rts=st.none() | SHARES,
    confidence=st.none() | SHARES,
    critique=st.none() | st.text(max_size=50),
)
SURROGATES = st.text(st.characters(categories=["Cs"]), min_size=1, max_size=1)
SECRETS = st.sampled_from([b"", b"a secret of the server"])
PLAIN = Verdict(1, "rules@1", (0.25, 0.75), 0.5, 0.75, "7 * 8 is 56")
KEY = "ab" * 32


@given(VERDICTS)
def test_a_verdict_comes_back_to_the_last_bit(verdict: Verdict) -> None:
    assert decode(encode(verdict)) == verdict


@given(SURROGATES)
def test_a_lone_surrogate_in_a_critique_survives(text: str) -> None:
    verdict = Verdict(0, "j", critique=text)
    assert decode(encode(verdict)) == verdict


def test_what_a_verdict_cost_is_not_kept() -> None:
    paid = Verdict(1, "j", usage=Usage(100, 10, 1), latency_s=2.5)
    assert decode(encode(paid)) == Verdict(1, "j")


BAD_NUMBERS = (math.nan, math.inf, -math.inf, 1.5, -0.1)


@pytest.mark.parametrize("number", BAD_NUMBERS)
@pytest.mark.parametrize("field", ["expected_rts", "confidence", "step_error_probs"])
def test_no_number_that_is_not_a_share_is_written(field: str, number: float) -> None:
    value: Any = (0.5, number) if field == "step_error_probs" else number
    with pytest.raises(NotAVerdict):
        encode(Verdict(0, "j", **{field: value}))


@pytest.mark.parametrize("first_error", [-1, 2, True, 0.0])
def test_no_impossible_step_is_written(first_error: Any) -> None:
    with pytest.raises(NotAVerdict):
        encode(Verdict(first_error, "j", step_error_probs=(0.5, 0.5)))


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(encode(PLAIN)) | changes).encode()


@pytest.mark.parametrize(
    "text",
    [
        changed(reward=0.5),
        changed(first_error="1"),
        changed(first_error=-1),
        changed(first_error=2),
        changed(first_error=1.0),
        changed(first_error=True),
        changed(confidence=math.nan),
        changed(confidence=math.inf),
        changed(confidence=7),
        changed(step_error_probs=[0.5, None]),
        changed(judge_id=None),
        encode(PLAIN).replace(b'"critique":', b'"kritik":'),
        b'{"first_error":1,"judge_id":"rules@1"}',
        encode(PLAIN)[:-1],
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_anything_else_is_no_verdict(text: bytes) -> None:
    with pytest.raises(NotAVerdict):
        decode(text)


@given(VERDICTS, SECRETS)
def test_a_sealed_row_is_opened_under_its_key(verdict: Verdict, secret: bytes) -> None:
    assert Seal(secret).unpack(KEY, Seal(secret).pack(KEY, verdict)) == verdict


@given(st.data(), SECRETS)
def test_no_changed_byte_is_believed(data: st.DataObject, secret: bytes) -> None:
    row = bytearray(Seal(secret).pack(KEY, PLAIN))
    row[data.draw(st.integers(0, len(row) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BrokenSeal):
        Seal(secret).unpack(KEY, bytes(row))


@given(st.data(), SECRETS)
def test_no_torn_row_is_believed(data: st.DataObject, secret: bytes) -> None:
    row = Seal(secret).pack(KEY, PLAIN)
    with pytest.raises(BrokenSeal):
        Seal(secret).unpack(KEY, row[: data.draw(st.integers(0, len(row) - 1))])


@given(st.binary(max_size=200))
def test_no_other_bytes_are_believed(row: bytes) -> None:
    with pytest.raises(BrokenSeal):
        Seal().unpack(KEY, row)


@given(st.text(max_size=5), st.text(max_size=5))
def test_a_row_of_another_key_is_not_believed(key: str, other: str) -> None:
    assume(key != other)
    with pytest.raises(BrokenSeal):
        Seal().unpack(other, Seal().pack(key, PLAIN))


def test_only_the_servers_own_secret_opens_a_row() -> None:
    # Whoever can write to the store can make a checksum, but not a signature.
    for writer, reader in ((b"", b"x" * 16), (b"x" * 16, b""), (b"x" * 16, b"y" * 16)):
        with pytest.raises(BrokenSeal):
            Seal(reader).unpack(KEY, Seal(writer).pack(KEY, PLAIN))


def test_a_sealed_row_of_another_version_is_told_from_a_broken_one() -> None:
    seal = Seal()
    payload = changed(reward=0.5)
    with pytest.raises(NotAVerdict):
        seal.unpack(KEY, seal._digest(KEY, payload) + payload)
