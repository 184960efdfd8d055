"""Is the final answer right? The outcome check, by math-verify in processes of its own.

math-verify's time-out works on the main thread only, and cannot stop one long step inside C code. So it runs without
one in a worker process, which is killed and replaced when an item takes too long.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cachetools import LRUCache

from judge.errors import BackendError
from judge.final_answer import final_answer, quick_match, reference_answer

_WORKER: Final = Path(__file__).with_name("answer_worker.py")
_START_TIMEOUT_S: Final = 60.0
_KEPT: Final = 50_000
_LONGEST_KEPT: Final = 500
"""How many comparisons are kept for the next time, and the longest answer of one, in characters."""


@dataclass(frozen=True, slots=True)
class AnswerItem:
    """A response and the right answer to its problem.

    >>> AnswerItem(response="She earns 9 * 2 = 18 dollars.", reference="18").reference
    '18'
    """

    response: str
    """Only its last 4,000 characters are searched for the answer."""
    reference: str
    r"""The answer (number, LaTeX or text), or a solution that ends with ``\boxed{}`` or ``####``."""


@dataclass(frozen=True, slots=True)
class AnswerFailure:
    """The answer could not be checked. Not the same as wrong."""

    message: str
    """One sentence for people: what happened."""


class AnswerChecker:
    """Checks final answers in killable worker processes. Belongs to one event loop; safe for concurrent callers.

    Workers start with the first item that plain number comparison cannot settle, and live until `aclose`. What a worker
    has compared is kept: the responses to one problem, and retries, mostly end in one of a few answers.

    Args:
        timeout_s: the longest that one item may take in a worker, above 0.
        num_workers: the most worker processes at a time, at least 1.
    """

    def __init__(self, timeout_s: float = 5.0, num_workers: int = 1) -> None:
        self._timeout_s = timeout_s
        self._free: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        self._workers = [_Worker() for _ in range(num_workers)]
        for worker in self._workers:
            self._free.put_nowait(worker)
        self._closed = False
        self._known: LRUCache[tuple[str, str], bool] = LRUCache(_KEPT)

    async def check(self, items: Sequence[AnswerItem]) -> list[bool | AnswerFailure]:
        """Whether each response's final answer is right, in order. A response without an answer is wrong (False)."""
        return list(await asyncio.gather(*(self._check(item) for item in items)))

    async def warm_up(self) -> None:
        """Start a worker now, so that the first item need not wait for it.

        Raises:
            BackendError: when the worker does not start.
        """
        worker = await self._free.get()
        try:
            await worker.start()
        finally:
            self._free.put_nowait(worker)

    async def aclose(self) -> None:
        """Kill all workers; items in flight end as `AnswerFailure`. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*(worker.kill() for worker in self._workers))
        # A worker that was just being started is killed by the item that started it: wait for every item to let go.
        for worker in [await self._free.get() for _ in self._workers]:
            await worker.kill()
            self._free.put_nowait(worker)

    async def _check(self, item: AnswerItem) -> bool | AnswerFailure:
        reference = reference_answer(item.reference)
        if reference is None:
            return AnswerFailure("the reference answer is empty, too long, or holds no letter or digit")
        answer = final_answer(item.response)
        if answer is None:
            return False
        verdict = quick_match(answer, reference)
        if verdict is None:
            verdict = self._known.get((answer, reference))
        if verdict is not None:
            return verdict
        found = await self._ask(answer, reference)
        if isinstance(found, bool) and max(len(answer), len(reference)) <= _LONGEST_KEPT:
            self._known[answer, reference] = found
        return found

    async def _ask(self, answer: str, reference: str) -> bool | AnswerFailure:
        worker = await self._free.get()
        try:
            if self._closed:
                return AnswerFailure("the answer checker is closed")
            await worker.start()
            if self._closed:
                raise BackendError("the answer checker is closed")
            return await asyncio.wait_for(worker.ask(answer, reference, self._timeout_s), self._timeout_s)
        except TimeoutError:
            await worker.kill()
            return AnswerFailure(f"the answer check took longer than {self._timeout_s:g} s")
        except BackendError as error:
            await worker.kill()
            return AnswerFailure(str(error))
        except asyncio.CancelledError:
            # Its reply would be taken for the next item's.
            await worker.kill()
            raise
        finally:
            self._free.put_nowait(worker)


class _Worker:
    """One worker process, started when needed."""

    def __init__(self) -> None:
        self._process: Process | None = None

    async def start(self) -> None:
        if self._process is not None and self._process.returncode is None:
            return
        # -P: the worker's own folder holds a types.py. A new session: Ctrl-C reaches it through its parent only.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", str(_WORKER), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True
        )
        try:
            hello = await asyncio.wait_for(self._reply(self._process), _START_TIMEOUT_S)
        except TimeoutError:
            hello = {"error": f"it did not start within {_START_TIMEOUT_S:g} s"}
        if "error" in hello:
            await self.kill()
            raise BackendError(f"the process of the answer check: {hello['error']}")

    async def ask(self, answer: str, reference: str, limit_s: float) -> bool | AnswerFailure:
        process = self._process
        if process is None or process.stdin is None:
            raise BackendError("the answer check was stopped")
        try:
            process.stdin.write(json.dumps([answer, reference, limit_s]).encode() + b"\n")
            await process.stdin.drain()
        except ConnectionError:
            raise BackendError("the process of the answer check died") from None
        reply = await self._reply(process)
        return AnswerFailure(reply["error"]) if "error" in reply else bool(reply["equal"])

    async def _reply(self, process: Process) -> dict[str, Any]:
        assert process.stdout is not None  # opened with a pipe
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            raise BackendError(f"the process of the answer check died (exit code {await process.wait()})")
        reply: dict[str, Any] = json.loads(line)
        return reply

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()
