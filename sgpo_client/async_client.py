"""The reward client for code that runs in an event loop.

aiohttp carries the requests: the connection pool of httpx slows down with the square of the queued requests.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self

import aiohttp
import stamina
from pydantic_core import from_json

from sgpo_client.client_settings import ClientSettings, read_api_key
from sgpo_client.codec import decode_reply, encode_request
from sgpo_client.errors import RewardError, RewardUnavailable
from sgpo_client.transport import JITTER_S, Busy, backoff, exchange, require_ok
from sgpo_client.wire import GroupScores, RewardGroup, ShapingParams

log = logging.getLogger(__name__)
POLL_S: Final = 0.2
KEEPALIVE_S: Final = 4.0
"""Below the 5 s after which uvicorn closes an idle connection, so that no request runs into the closing."""


class _Call:
    """One call of the client: until when it may take, and its last failure for the message when time is up."""

    def __init__(self, url: str, seconds: float, setting: str) -> None:
        self.url = url
        self.seconds = seconds
        self.setting = setting
        self.ends = asyncio.get_running_loop().time() + seconds
        self.last_error = ""

    def failed(self, error: Exception) -> None:
        """Keep the failure; tell the log once a call that the client now waits."""
        if not self.last_error:
            log.warning("reward server %s: %s; trying again for up to %g s", self.url, error, self.seconds)
        self.last_error = str(error)

    def can_wait(self, seconds: float) -> bool:
        """Whether that much time is left."""
        return asyncio.get_running_loop().time() + seconds < self.ends

    def unavailable(self) -> RewardUnavailable:
        """The error for a call whose time is up."""
        return RewardUnavailable(
            f"reward server {self.url} gave no answer within {self.seconds:g} s ({self.setting}); "
            f"last error: {self.last_error or 'none, it was still at work'}; "
            "check that the server is up and the url right, or allow more time"
        )


class AsyncRewardClient:
    """Asks the reward server for rewards; use it as ``async with AsyncRewardClient(settings) as client``.

    Entering raises `ConfigError` when `api_key_env` names a variable that is not set.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.max_concurrency)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        key = read_api_key(self._settings)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._session = aiohttp.ClientSession(
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
            connector=aiohttp.TCPConnector(limit=self._settings.max_concurrency, keepalive_timeout=KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def score(
        self, groups: Sequence[RewardGroup], shaping: ShapingParams, include_steps: bool = False
    ) -> list[GroupScores]:
        """Scores of every group, in the order of ``groups``.

        Raises:
            RewardUnavailable: when the server could not be reached or was busy for `deadline_s`.
            RewardRejected: when it refused a request (4xx).
            RewardError: when it failed (5xx), or its reply is malformed or does not fit what was sent.
        """
        size = self._settings.groups_per_request
        async with self._within(self._settings.deadline_s, "deadline_s") as call:
            try:
                async with asyncio.TaskGroup() as tasks:
                    parts = [
                        tasks.create_task(self._score_part(call, groups[start : start + size], shaping, include_steps))
                        for start in range(0, len(groups), size)
                    ]
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
        return [scores for part in parts for scores in part.result()]

    async def info(self) -> dict[str, object]:
        """What the server says of itself and its judge (``GET /v1/info``). Raises as `score`."""
        async with self._within(self._settings.deadline_s, "deadline_s") as call:
            body = await self._send(call, "GET", "/v1/info", None)
        try:
            info = from_json(body)
        except ValueError:
            info = None
        if not isinstance(info, dict):
            raise RewardError(f"{self._settings.url}/v1/info: malformed reply: not a JSON object")
        return info

    async def post(self, path: str, body: bytes) -> bytes:
        """The body of another route's 200 reply, with the same retries and deadline. Raises as `score`."""
        async with self._slots, self._within(self._settings.deadline_s, "deadline_s") as call:
            return await self._send(call, "POST", path, body)

    async def not_ready_reason(self) -> str | None:
        """Ask once whether the server can judge now (``GET /readyz``): None when it can, else why not.

        Raises:
            RewardRejected: when it answers 4xx: it is no reward server.
            RewardError: when it answers with another failure than 503.
        """
        try:
            await self._send_once("GET", "/readyz", None)
        except (aiohttp.ClientError, TimeoutError, Busy) as error:
            if backoff(error) is False:
                raise RewardError(f"{self._settings.url}: {error}") from None
            return str(error)
        return None

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until the server can judge.

        Raises:
            RewardUnavailable: when it is not ready after ``timeout_s``.
            RewardRejected, RewardError: as `not_ready_reason`.
        """
        async with self._within(timeout_s, "the time given to get ready") as call:
            while (reason := await self.not_ready_reason()) is not None:
                call.last_error = reason
                await asyncio.sleep(POLL_S)

    @asynccontextmanager
    async def _within(self, seconds: float, setting: str) -> AsyncIterator[_Call]:
        """Everything inside ends within ``seconds``, or with `RewardUnavailable`."""
        call = _Call(self._settings.url, seconds, setting)
        try:
            async with asyncio.timeout(seconds):
                yield call
        except TimeoutError:
            raise call.unavailable() from None

    async def _score_part(
        self, call: _Call, groups: Sequence[RewardGroup], shaping: ShapingParams, include_steps: bool
    ) -> list[GroupScores]:
        # The slot is kept while waiting to try again, so a busy server sees less of us.
        async with self._slots:
            request = encode_request(groups, shaping, include_steps=include_steps)
            body = await self._send(call, "POST", "/v1/rewards", request)
        try:
            return decode_reply(body, groups)
        except RewardError as error:
            raise RewardError(f"{self._settings.url}/v1/rewards: {error}") from None

    async def _send(self, call: _Call, method: str, path: str, body: bytes | None) -> bytes:
        """Send until it is answered (`_within` ends it); the body of the 200 reply.

        Every attempt carries the same key, so that the server answers a retry from the first attempt's work.
        """
        key = uuid.uuid4().hex if body is not None else None
        retries = stamina.retry_context(
            on=backoff, attempts=None, timeout=None, wait_initial=0.1, wait_max=5.0, wait_jitter=JITTER_S
        )
        try:
            async for attempt in retries:
                with attempt:
                    try:
                        return await self._send_once(method, path, body, key)
                    except (aiohttp.ClientError, TimeoutError, Busy) as error:
                        call.failed(error)
                        # Asked of every failure: a request that times out together with the call takes the
                        # cancellation for its own, and nothing else would end the call then.
                        if not call.can_wait((error.retry_after_s or 0) if isinstance(error, Busy) else 0):
                            raise call.unavailable() from None
                        raise
        except aiohttp.ClientError as error:
            # Its repr may hold the request's headers, and so the key: only its text goes on.
            raise RewardError(f"{self._settings.url}{path}: {error}") from None
        raise AssertionError("unlimited attempts ended")

    async def _send_once(self, method: str, path: str, body: bytes | None, key: str | None = None) -> bytes:
        if self._session is None:
            raise RuntimeError("the reward client is not open: use it in a with block")
        url = self._settings.url + path
        try:
            reply = await exchange(self._session, method, url, body, key)
        except TimeoutError:
            raise TimeoutError(f"no reply within {self._settings.timeout_s:g} s (timeout_s)") from None
        return require_ok(reply, url)
