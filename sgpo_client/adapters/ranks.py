"""Batches that are cut over the ranks of a run: put together, scored once, and handed back."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sgpo_client.adapters.grouping import group_indices
from sgpo_client.adapters.samples import Sample
from sgpo_client.adapters.scores import SampleScore

T = TypeVar("T")


class Ranks(Protocol):
    """The processes of a run."""

    @property
    def rank(self) -> int:
        """Of this process."""

    def gather(self, value: T) -> list[T]:
        """The value of every rank, in the order of ranks. Every rank must call it."""


@dataclass(frozen=True, slots=True)
class TorchRanks:
    """The default process group of torch."""

    rank: int
    size: int

    def gather(self, value: T) -> list[T]:
        """See `Ranks`."""
        values: list[Any] = [None] * self.size
        _distributed().all_gather_object(values, value, group=_cpu_group())
        return values


_cpu_groups: dict[int, Any] = {}


def _cpu_group() -> Any:
    """A group of all ranks that talks over the CPU; None where the default one does.

    NCCL would move the values to the thread's own GPU, which in the thread that a trainer calls reward functions from
    is the first one on every rank. Every rank must call it.
    """
    distributed = _distributed()
    if distributed.get_backend() == "gloo":
        return None
    default = id(distributed.group.WORLD)
    if default not in _cpu_groups:
        _cpu_groups[default] = distributed.new_group(backend="gloo")
    return _cpu_groups[default]


def current_ranks() -> TorchRanks | None:
    """The ranks of this run; None for a single process. Imports no torch: without it there are no ranks."""
    distributed = _distributed()
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    size = distributed.get_world_size()
    return TorchRanks(distributed.get_rank(), size) if size > 1 else None


async def over_ranks(
    read: Callable[[], Sequence[Sample]],
    score: Callable[[Sequence[Sample]], Awaitable[Sequence[SampleScore]]],
    ranks: Ranks | None = None,
) -> list[SampleScore]:
    """The scores of this rank's samples, where a group may lie on several ranks.

    Every group is scored by the rank that holds its first member. A failure on one rank is raised on all of them: the
    others would otherwise wait until the process group's time is over.

    Args:
        read: gives this rank's samples; its failures are shared, too.
        score: scores samples of whole groups, in order.
        ranks: for tests; the default process group where there is one.
    """
    ranks = ranks or current_ranks()
    if ranks is None:
        return list(await score(read()))
    samples, failure = _tried(read)
    parts: list[tuple[Sequence[Sample], Exception | None]] = ranks.gather((samples, failure))
    _raise_first(error for _, error in parts)
    everything = [sample for part, _ in parts for sample in part]
    starts = [sum(len(part) for part, _ in parts[:rank]) for rank in range(len(parts) + 1)]
    mine = range(starts[ranks.rank], starts[ranks.rank + 1])
    # One run of equal content may hold several groups; they stay together, and `score` cuts them.
    owned = [index for group in group_indices(everything) if group[0] in mine for index in group]
    results: dict[int, SampleScore] = {}
    try:
        scored = await score([everything[index] for index in owned])
        results, failure = dict(zip(owned, scored, strict=True)), None
    except Exception as error:  # the edge to the other ranks
        failure = error
    replies = ranks.gather((results, failure))
    _raise_first(error for _, error in replies)
    merged = {index: found for part, _ in replies for index, found in part.items()}
    return [merged[index] for index in mine]


def _tried(read: Callable[[], Sequence[Sample]]) -> tuple[Sequence[Sample], Exception | None]:
    try:
        return read(), None
    except Exception as error:  # the edge to the other ranks
        return (), error


def _raise_first(errors: Any) -> None:
    for error in errors:
        if error is not None:
            raise error


def _distributed() -> Any:
    """torch.distributed, if the trainer has loaded torch."""
    return getattr(sys.modules.get("torch"), "distributed", None)
