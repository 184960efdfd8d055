"""HTTP to a vLLM server: every call waits for a server that is away, up to a deadline."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Any, Self

import aiohttp
import stamina
from pydantic_core import from_json

from sgpo_client.errors import SamplerError

logger = logging.getLogger(__name__)

_AWAY = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
_BUSY = frozenset({429, 502, 503, 504})


class _Busy(Exception):
    """The server answers that it cannot work now."""


class VllmHttp:
    """One server; use it as ``async with``.

    Args:
        url: base URL.
        deadline_s: longest wait for an answer, over all attempts.
    """

    def __init__(self, url: str, deadline_s: float) -> None:
        self._url = url
        self._deadline_s = deadline_s

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=self._deadline_s)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object of the reply.

        Raises:
            SamplerError: when the server stays away for the deadline, or refuses.
        """
        last = ""
        attempts = stamina.retry_context(
            on=(*_AWAY, _Busy), attempts=None, timeout=None, wait_initial=0.1, wait_max=5.0, wait_jitter=0.5
        )
        try:
            async with asyncio.timeout(self._deadline_s):
                async for attempt in attempts:
                    with attempt:
                        try:
                            return await self._once(method, path, body)
                        except (*_AWAY, _Busy) as error:
                            if not last:
                                logger.warning("vLLM at %s is away (%s); waiting", self._url, error)
                            last = str(error) or type(error).__name__
                            raise
        except TimeoutError:
            pass
        raise SamplerError(
            f"vLLM at {self._url} gave no answer within {self._deadline_s:g} s (rollout.vllm.deadline_s); last error: "
            f"{last or 'none, it was still at work'}; check that the server is up and rollout.vllm.url right"
        )

    async def _once(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        async with self._session.request(method, self._url + path, json=body) as reply:
            raw = await reply.read()
        if reply.status in _BUSY:
            raise _Busy(f"HTTP {reply.status}")
        if reply.status >= 400:
            raise SamplerError(
                f"vLLM at {self._url}{path} answered HTTP {reply.status}: {raw[:500].decode(errors='replace')}"
            )
        if not raw:
            return {}
        try:
            value = from_json(raw)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise SamplerError(
                f"vLLM at {self._url}{path} answered with something else than a JSON object; is it vLLM?"
            )
        return value
