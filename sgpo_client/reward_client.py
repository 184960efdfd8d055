"""Rewards over HTTP, for any trainer; needs no torch.

    with RewardClient(ClientSettings(url="http://127.0.0.1:8100")) as client:
        scores = client.score(groups, ShapingParams())

`AsyncRewardClient` is the same for code that runs in an event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from sgpo_client.async_client import AsyncRewardClient
from sgpo_client.client_settings import ClientSettings
from sgpo_client.errors import Interrupted
from sgpo_client.wire import GroupScores, RewardGroup, ShapingParams

__all__ = ["AsyncRewardClient", "ClientSettings", "RewardClient"]

T = TypeVar("T")
LOOK_UP_S: Final = 0.5
"""How often a waiting thread asks whether it is to give up."""


class RewardClient:
    """`AsyncRewardClient` for code without an event loop; errors and results are the same.

    Its own loop runs in a thread, so it also works, blocking, where a loop is running already (a notebook).

    Args:
        settings: of the client.
        gives_up: asked now and then while rewards are waited for; once it says True `score` raises `Interrupted`.
    """

    def __init__(self, settings: ClientSettings, gives_up: Callable[[], bool] | None = None) -> None:
        self._url = settings.url
        self._gives_up = gives_up
        self._client = AsyncRewardClient(settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._loop = stack.enter_context(_loop_in_thread())
            self._run(self._client.__aenter__())
            stack.callback(lambda: self._run(self._client.__aexit__(None, None, None)))
            self._opened = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()
        self._loop = None

    def score(
        self, groups: Sequence[RewardGroup], shaping: ShapingParams, include_steps: bool = False
    ) -> list[GroupScores]:
        """See `AsyncRewardClient.score`. Raises `Interrupted` as well."""
        return self._run(self._client.score(groups, shaping, include_steps), self._gives_up)

    def info(self) -> dict[str, object]:
        """See `AsyncRewardClient.info`."""
        return self._run(self._client.info())

    def not_ready_reason(self) -> str | None:
        """See `AsyncRewardClient.not_ready_reason`."""
        return self._run(self._client.not_ready_reason())

    def wait_ready(self, timeout_s: float) -> None:
        """See `AsyncRewardClient.wait_ready`."""
        self._run(self._client.wait_ready(timeout_s))

    def _run(self, work: Coroutine[Any, Any, T], gives_up: Callable[[], bool] | None = None) -> T:
        if self._loop is None:
            work.close()
            raise RuntimeError("the reward client is not open: use it in a with block")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while gives_up is not None and not wait([future], LOOK_UP_S).done:
                if gives_up():
                    raise Interrupted(f"the wait for {self._url} was given up")
            return future.result()
        finally:
            future.cancel()  # does nothing once it is done; after Ctrl-C the requests must not go on


@contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread of its own for as long as the block."""
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def until_stopped() -> None:
        stop = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(until_stopped(),), name="reward-client", daemon=True)
    thread.start()
    loop, stop = started.result()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
