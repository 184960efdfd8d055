"""Groups that are cut over ranks: threads stand for processes, and a barrier for the collective."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from sgpo_client.adapters.ranks import current_ranks, over_ranks
from sgpo_client.adapters.samples import Sample
from sgpo_client.adapters.scores import SampleScore
from sgpo_client.errors import DataError, RewardUnavailable

T = TypeVar("T")


class Threads:
    """Ranks of one process."""

    def __init__(self, rank: int, barrier: threading.Barrier, values: dict[int, Any]) -> None:
        self.rank = rank
        self._barrier = barrier
        self._values = values

    def gather(self, value: T) -> list[T]:
        self._values[self.rank] = value
        self._barrier.wait(60)
        values = [self._values[rank] for rank in range(self._barrier.parties)]
        self._barrier.wait(60)
        return values


def run(parts: Sequence[Sequence[Sample] | Exception], score: Any) -> list[Any]:
    """What every rank gets, an exception included."""
    barrier = threading.Barrier(len(parts))
    values: dict[int, Any] = {}

    def one(rank: int) -> Any:
        def read() -> Sequence[Sample]:
            part = parts[rank]
            if isinstance(part, Exception):
                raise part
            return part

        try:
            return asyncio.run(over_ranks(read, score, Threads(rank, barrier, values)))
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(one, range(len(parts))))


def sample(problem: int, text: str) -> Sample:
    return Sample(f"problem {problem}", text, "1")


@pytest.mark.parametrize("seed", range(5))
def test_every_group_is_scored_once_and_whole_and_in_order(seed: int) -> None:
    draw = random.Random(seed)
    flat = [sample(problem, f"{problem}.{member}") for problem in range(6) for member in range(draw.randint(1, 4))]
    cuts = sorted(draw.randint(0, len(flat)) for _ in range(2))
    parts = [flat[: cuts[0]], flat[cuts[0] : cuts[1]], flat[cuts[1] :]]
    scored: list[Sample] = []

    async def score(samples: Sequence[Sample]) -> list[SampleScore]:
        scored.extend(samples)
        sizes = {each.problem: sum(other.problem == each.problem for other in samples) for each in samples}
        return [SampleScore(1.0, 1, error=each.text, group_size=sizes[each.problem]) for each in samples]

    results = run(parts, score)
    assert [[score.error for score in result] for result in results] == [[s.text for s in part] for part in parts]
    assert sorted(each.text for each in scored) == sorted(each.text for each in flat)
    whole = {each.problem: sum(other.problem == each.problem for other in flat) for each in flat}
    assert [s.group_size for result in results for s in result] == [whole[each.problem] for each in flat]


async def first_rank_fails(samples: Sequence[Sample]) -> list[SampleScore]:
    if any("problem 0" in each.problem for each in samples):
        raise RewardUnavailable("down")
    return [SampleScore(1.0, 1) for _ in samples]


def test_failure_of_one_rank_is_everyones() -> None:
    results = run([[sample(0, "a")], [sample(1, "b")]], first_rank_fails)
    assert [type(result) for result in results] == [RewardUnavailable] * 2


def test_batch_that_one_rank_cannot_read_is_everyones() -> None:
    results = run([DataError("an image"), [sample(1, "b")]], first_rank_fails)
    assert [str(result) for result in results] == ["an image"] * 2


class Distributed:
    """Stands for torch.distributed with two ranks."""

    class group:  # noqa: N801 - torch's name
        WORLD = object()

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.made: list[str] = []
        self.groups: list[object] = []

    def is_available(self) -> bool:
        return True

    is_initialized = is_available

    def get_world_size(self) -> int:
        return 2

    def get_rank(self) -> int:
        return 0

    def get_backend(self) -> str:
        return self.backend

    def new_group(self, backend: str) -> str:
        self.made.append(backend)
        return "over the CPU"

    def all_gather_object(self, values: list[Any], value: Any, group: object) -> None:
        self.groups.append(group)
        values[:] = [value] * len(values)


@pytest.mark.parametrize(("backend", "made", "group"), [("gloo", [], None), ("nccl", ["gloo"], "over the CPU")])
def test_values_never_go_over_gpus(
    backend: str, made: list[str], group: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = Distributed(backend)
    monkeypatch.setattr("sgpo_client.adapters.ranks._distributed", lambda: distributed)
    monkeypatch.setattr("sgpo_client.adapters.ranks._cpu_groups", {})
    ranks = current_ranks()
    assert ranks is not None
    assert [ranks.gather("a"), ranks.gather("b")] == [["a", "a"], ["b", "b"]]
    assert distributed.groups == [group, group]
    assert distributed.made == made, "one group for the whole run"
