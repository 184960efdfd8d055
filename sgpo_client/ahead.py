"""Batches that are sampled a bounded number of steps ahead, in a thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Begins the work of a step while earlier steps are trained on.

    The batch of step s is sampled with the weights after s - staleness updates (those of the start for the first ones),
    always: what a run learns does not depend on which thread was faster. A resumed run starts with fresh weights, so
    its first ``staleness`` batches are less stale than those of a run that was never interrupted.

    Args:
        begin: samples a step's batch; what it returns waits for the rest of it.
        staleness: 0 begins each step when it is asked for, in the calling thread.
        num_steps: of the run; nothing is begun beyond.
    """

    def __init__(self, begin: Callable[[int], Callable[[], T]], staleness: int, num_steps: int) -> None:
        self._begin = begin
        self._staleness = staleness
        self._num_steps = num_steps
        self._begun: dict[int, Future[Callable[[], T]]] = {}
        # One thread: a sampler serves one caller at a time.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sampling")

    def take(self, step: int) -> T:
        """The batch of a step. Raises what its sampling raised."""
        if not self._staleness:
            return self._begin(step)()
        for each in range(step, min(step + self._staleness + 1, self._num_steps)):
            if each not in self._begun:
                self._begun[each] = self._thread.submit(self._begin, each)
        return self._begun.pop(step).result()()

    def settle(self) -> None:
        """Wait until nothing is being sampled: before new weights, and before anybody else uses the sampler.

        An error of the sampling is kept for `take`.
        """
        for future in self._begun.values():
            future.exception()

    def close(self) -> None:
        """Forget what was begun; returns when the thread has ended."""
        self._thread.shutdown(wait=True, cancel_futures=True)
