"""One HTTP exchange with the reward server, and which failures are worth another try."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from pydantic_core import from_json

from sgpo_client.errors import RewardError, RewardRejected

JITTER_S: Final = 1.0
BUSY_STATUSES: Final = (429, 502, 503, 504)
"""502 and 504 are a proxy's, whose server is being started again."""
_HINTS: Final = {
    401: "; set api_key_env to the variable that holds the server's key",
    403: "; set api_key_env to the variable that holds the server's key",
    404: "; is url the base URL of a reward server?",
    413: "; lower groups_per_request",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered, before anybody looks into the body."""

    status: int
    body: bytes
    retry_after: str | None


class Busy(Exception):
    """The server answered one of `BUSY_STATUSES`: the same request may work later."""

    def __init__(self, message: str, retry_after_s: float | None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


async def exchange(
    session: aiohttp.ClientSession, method: str, path: str, body: bytes | None, idempotency_key: str | None = None
) -> Reply:
    """Send one request and read the whole reply.

    Raises:
        aiohttp.ClientError, TimeoutError: when the exchange failed; see `backoff` for those worth another try.
    """
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    async with session.request(method, path, data=body, headers=headers, allow_redirects=False) as response:
        return Reply(response.status, await response.read(), response.headers.get("Retry-After"))


def require_ok(reply: Reply, url: str) -> bytes:
    """The body of a 200 reply.

    Raises:
        Busy: for `BUSY_STATUSES`.
        RewardRejected: for any other 4xx.
        RewardError: for any other status.
    """
    if reply.status == 200:
        return reply.body
    code, message = error_body(reply.body)
    text = f"{url} answered {reply.status} {code}: {message}"
    if reply.status in BUSY_STATUSES:
        raise Busy(text, retry_after_s(reply.retry_after))
    if 400 <= reply.status < 500:
        raise RewardRejected(text + _HINTS.get(reply.status, ""), status=reply.status, code=code)
    raise RewardError(text)


def error_body(body: bytes) -> tuple[str, str]:
    """Code and message of ``{"error": {"code", "message"}}``; of any other body its first characters."""
    try:
        error = from_json(body)["error"]
        return str(error["code"]), str(error["message"])
    except (ValueError, LookupError, TypeError):
        text = " ".join(body[:200].decode("utf-8", "replace").split())
        return "unknown", text or "(no message)"


def retry_after_s(header: str | None) -> float | None:
    """Seconds to wait as a Retry-After header says, in seconds or as a date; None when it says nothing usable.

    >>> retry_after_s("2"), retry_after_s("soon"), retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT")
    (2.0, None, 0.0)
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def backoff(error: Exception) -> bool | float:
    """Whether to send again after ``error``: no, yes, or yes after that many seconds (a stamina hook).

    A certificate or TLS fault stays as it is, so it is not tried again.
    """
    if isinstance(error, Busy):
        if error.retry_after_s is None:
            return True
        # Jitter on top: everybody who was refused was told the same time.
        return error.retry_after_s + random.uniform(0, JITTER_S)  # noqa: S311
    if isinstance(error, aiohttp.ClientSSLError):
        return False
    return isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | TimeoutError)
