"""What a status or a broken connection means to the client: sent again, after how long, or an error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest

from sgpo_client.errors import RewardError, RewardRejected
from sgpo_client.transport import Busy, Reply, backoff, error_body, require_ok, retry_after_s


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(("header", "seconds"), [("0", 0), ("7", 7)])
def test_retry_after_in_seconds(header: str, seconds: float) -> None:
    assert retry_after_s(header) == seconds


@pytest.mark.parametrize(("ahead", "low", "high"), [(3600, 3500, 3601), (-60, 0, 0)])
def test_retry_after_as_a_date(ahead: float, low: float, high: float) -> None:
    wait = retry_after_s(in_seconds(ahead))
    assert wait is not None
    assert low <= wait <= high


@pytest.mark.parametrize("header", [None, "", "-1", "1.5", "soon", "nan"])
def test_unusable_retry_after_is_none(header: str | None) -> None:
    assert retry_after_s(header) is None


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (Busy("full", None), True),
        (aiohttp.ServerDisconnectedError(), True),
        (aiohttp.ClientConnectionError(), True),
        (aiohttp.ClientPayloadError(), True),
        (TimeoutError(), True),
        (aiohttp.InvalidURL("x"), False),
        (RewardError("500"), False),
        (RewardRejected("no", status=422, code="x"), False),
        (ValueError(), False),
    ],
)
def test_what_is_sent_again(error: Exception, again: bool) -> None:
    assert backoff(error) is again


def test_retry_after_is_a_lower_bound_with_jitter() -> None:
    waits = {backoff(Busy("full", 3.0)) for _ in range(20)}
    assert len(waits) > 1
    assert all(3.0 <= wait <= 4.0 for wait in waits)


def error_reply(status: int) -> Reply:
    body = b'{"error":{"code":"bad_field","message":"groups[0].problem is empty","request_id":"r1"}}'
    return Reply(status, body, None)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 415, 422])
def test_4xx_is_rejected_with_the_servers_words(status: int) -> None:
    with pytest.raises(
        RewardRejected, match=r"http://u answered .* bad_field: groups\[0\]\.problem is empty"
    ) as caught:
        require_ok(error_reply(status), "http://u")
    assert (caught.value.status, caught.value.code) == (status, "bad_field")


@pytest.mark.parametrize("status", [201, 204, 301, 302, 500, 501])
def test_other_statuses_are_errors(status: int) -> None:
    with pytest.raises(RewardError) as caught:
        require_ok(error_reply(status), "http://u")
    assert type(caught.value) is RewardError


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_busy_statuses(status: int) -> None:
    with pytest.raises(Busy):
        require_ok(error_reply(status), "http://u")


@pytest.mark.parametrize("body", [b"", b"<html>\n nope</html>", b'{"error":1}', b"[1]", b"\xff", b"[" * 100_000])
def test_error_body_of_another_kind(body: bytes) -> None:
    code, message = error_body(body)
    assert code == "unknown"
    assert message
    assert len(message) <= 200
