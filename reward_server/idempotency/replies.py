"""``Idempotency-Key``: a retry gets the first attempt's reply, byte for byte, and costs nothing.

A client that lost a reply (time-out, dead connection) sends the same body with the same key again. When the first
attempt is still under way, the retry waits for it. What a new attempt could do better is not kept: refusals, and
replies with a response that is unscored because something failed. Their finished verdicts are in the verdict cache
anyway, so that such a retry judges only what is missing.

Keys belong to a caller: two callers who choose the same key do not meet. The store is in this process's memory; a
retry that reaches another worker, or comes after a restart, is answered anew from the verdict cache.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from cachetools import TTLCache
from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.requests import Request
from starlette.responses import Response

from judge.types import UnscoredReason
from reward_server.errors import ApiError
from reward_server.idempotency.settings import IdempotencySettings
from reward_server.schemas import ErrorOut, JudgeReply, RewardReply

HEADER: Final = "idempotency-key"
REPLAYED: Final = "idempotency-replayed"
KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
ENTRY_BYTES: Final = 1000
"""What a kept reply takes beside its body, about."""
LASTING: Final = frozenset(
    {
        UnscoredReason.NO_EVIDENCE,
        UnscoredReason.NO_ERROR_FOUND,
        UnscoredReason.NO_STEPS,
        UnscoredReason.TOO_LONG,
        UnscoredReason.NO_ANSWER,
    }
)
"""Findings about the response itself. Every other reason is a failure of ours, and the next attempt may do better."""

Reply = RewardReply | JudgeReply
Name = tuple[str, str]
"""Tenant and key."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished reply and the digest of the request that it answers."""

    request: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An attempt that has not ended; ``ended`` holds its body or its refusal, or is cancelled with it."""

    request: bytes
    ended: asyncio.Future[bytes]


class Idempotency:
    """Answers each key once. For one event loop.

    Args:
        settings: bounds.
        registry: takes the counts.
        clock: seconds, monotonic; for tests.
    """

    def __init__(
        self,
        settings: IdempotencySettings,
        registry: CollectorRegistry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_entries = settings.max_entries
        self._kept: TTLCache[Name, Kept] = TTLCache(settings.max_bytes, settings.ttl_s, clock, size_of)
        self._under_way: dict[Name, UnderWay] = {}
        self._replays = Counter("sgpo_idempotent_replays", "Retries answered with a kept reply.", registry=registry)
        self._waiting = Gauge("sgpo_idempotent_waiting", "Retries that wait for an earlier attempt.", registry=registry)
        self._entries = Gauge("sgpo_idempotent_entries", "Replies kept for retries.", registry=registry)
        self._bytes = Gauge("sgpo_idempotent_bytes", "Bytes of the replies kept for retries, about.", registry=registry)

    async def answer(self, request: Request, body: bytes, make: Callable[[], Awaitable[Reply]]) -> Response:
        """The reply of ``make``, or an earlier one of it.

        Args:
            request: its headers, path and tenant are read.
            body: the request's bytes.
            make: does the work; called when no earlier attempt can answer.

        Raises:
            ApiError: 422, for a key that was used for another request, or is none; and whatever ``make`` raises.
        """
        key = request.headers.get(HEADER)
        if key is None:
            return as_response((await make()).model_dump_json().encode(), replayed=False)
        if not KEY.fullmatch(key):
            raise ApiError(
                422, "invalid_idempotency_key", "Idempotency-Key: 1 to 255 visible ASCII characters without spaces"
            )
        name = (str(request.scope.get("state", {}).get("tenant", "")), key)
        digest = fingerprint(request.scope["path"], body)
        while True:
            kept = self._kept.get(name)
            if kept is not None:
                check_same(kept.request, digest)
                return self._replay(kept.body)
            other = self._under_way.get(name)
            if other is None:
                return as_response(await self._first(name, digest, make), replayed=False)
            check_same(other.request, digest)
            with self._waiting.track_inprogress():
                # Not awaited itself: a retry whose client leaves must not take the attempt away from the others.
                await asyncio.wait([other.ended])
            if not other.ended.cancelled():
                return self._replay(other.ended.result())
            # That client left and its attempt was given up: now it is our turn.

    async def _first(self, name: Name, digest: bytes, make: Callable[[], Awaitable[Reply]]) -> bytes:
        """Do the work, tell those who wait, and keep the reply if no attempt can do better."""
        attempt = UnderWay(digest, asyncio.get_running_loop().create_future())
        self._under_way[name] = attempt
        try:
            reply = await make()
            body = reply.model_dump_json().encode()
        except Exception as error:
            attempt.ended.set_exception(error)
            # Read here, so that nobody complains about it when no one waits.
            attempt.ended.exception()
            raise
        else:
            attempt.ended.set_result(body)
            if is_final(reply):
                self._keep(name, Kept(digest, body))
            return body
        finally:
            del self._under_way[name]
            # Only still open when the attempt was cancelled.
            attempt.ended.cancel()

    def _keep(self, name: Name, kept: Kept) -> None:
        if size_of(kept) <= self._kept.maxsize:
            self._kept[name] = kept
        while len(self._kept) > self._max_entries:
            self._kept.popitem()
        self._entries.set(len(self._kept))
        self._bytes.set(self._kept.currsize)

    def _replay(self, body: bytes) -> Response:
        self._replays.inc()
        return as_response(body, replayed=True)


def size_of(kept: Kept) -> int:
    """Memory that a kept reply takes."""
    return len(kept.body) + ENTRY_BYTES


def fingerprint(path: str, body: bytes) -> bytes:
    """Tells requests apart: by route and body, so that one key cannot serve two routes."""
    return hashlib.sha256(path.encode() + b"\0" + body).digest()


def check_same(known: bytes, digest: bytes) -> None:
    """Refuse a key that stands for another request: the caller would get an answer to a question it did not ask."""
    if known != digest:
        raise ApiError(
            422,
            "idempotency_key_reused",
            "Idempotency-Key: this key was used for another request; take a new key for every new request",
        )


def is_final(reply: Reply) -> bool:
    """True when asking again could not give more: whatever is unscored is so because of the response itself."""
    return all(error.code in LASTING for error in errors_of(reply))


def errors_of(reply: Reply) -> Iterator[ErrorOut]:
    """The errors of all the items of a reply."""
    items = reply.items if isinstance(reply, JudgeReply) else [r for group in reply.groups for r in group.responses]
    for item in items:
        if item.error is not None:
            yield item.error


def as_response(body: bytes, *, replayed: bool) -> Response:
    """200, with a word about where the body comes from."""
    return Response(body, headers={REPLAYED: "true"} if replayed else None, media_type="application/json")
