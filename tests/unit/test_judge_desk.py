"""The desk: what is known is not asked again, what is equal is asked once, what fails is not kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from judge.errors import BackendError
from judge.types import Solution, Unscored, UnscoredReason, Verdict
from reward_server.engine.breaker import Breaker
from reward_server.engine.judging import Errand, JudgeDesk, Timing
from reward_server.engine.settings import BatchingSettings
from reward_server.errors import ApiError
from reward_server.metrics import Metrics
from tests.unit.batch_judges import FAR, name_of, solution, turns


class Shelf:
    """A store in a dictionary, whose writes a test may hold up."""

    def __init__(self) -> None:
        self.kept: dict[str, Verdict] = {}
        self.writable = asyncio.Event()
        self.writable.set()

    async def get_many(self, keys: Sequence[str]) -> list[Verdict | None]:
        return [self.kept.get(key) for key in keys]

    async def put_many(self, items: Mapping[str, Verdict]) -> None:
        await self.writable.wait()
        self.kept.update(items)

    async def aclose(self) -> None: ...


class Held:
    """A judge whose calls wait to be let go."""

    judge_id = "held"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None
        self.lets_go_once = False

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        self.asked.append([one.steps[0] for one in batch])
        await self.go.wait()
        if self.lets_go_once:
            self.go.clear()
        if self.error is not None:
            raise self.error
        return [
            Unscored(UnscoredReason.NO_EVIDENCE, "", "held")
            if one.steps[0].startswith("dull")
            else Verdict(0, "held", critique=one.steps[0])
            for one in batch
        ]

    async def aclose(self) -> None: ...


def errand(deadline: float = FAR) -> Errand:
    return Errand(deadline, Timing())


async def test_a_verdict_is_kept_and_comes_back_as_cached_and_a_failure_does_not() -> None:
    judge, shelf = Held(), Shelf()
    desk = JudgeDesk(judge, Metrics(), store=shelf)
    first = await desk.answer([solution("a"), solution("dull")], errand())
    second = await desk.answer([solution("dull"), solution("a"), solution("b")], errand())
    assert [answer.cached for answer in first + second] == [False, False, False, True, False]
    assert [name_of(answer.result) for answer in second] == [None, "a", "b"]
    assert [sorted(names) for names in judge.asked] == [["a", "dull"], ["b", "dull"]]
    await desk.aclose()
    assert {verdict.critique for verdict in shelf.kept.values()} == {"a", "b"}


async def test_between_the_answer_and_its_being_kept_nobody_asks_again() -> None:
    judge, shelf = Held(), Shelf()
    shelf.writable.clear()
    desk = JudgeDesk(judge, Metrics(), store=shelf)
    await desk.answer([solution("a")], errand())
    assert not shelf.kept
    [again] = await desk.answer([solution("a")], errand())
    assert again.cached
    assert judge.asked == [["a"]]
    shelf.writable.set()
    await desk.aclose()


@pytest.mark.parametrize(
    "bad",
    [Verdict(7, "held"), Verdict(0, "held", confidence=2.0), Verdict(None, "held")],
)
async def test_a_kept_verdict_that_cannot_be_right_is_a_miss(bad: Verdict) -> None:
    judge, shelf = Held(), Shelf()
    desk = JudgeDesk(judge, Metrics(), store=shelf)
    wrong = Solution("p", ("a", "b"), known_wrong=True)
    await desk.answer([wrong], errand())
    await desk.aclose()
    [key] = shelf.kept
    shelf.kept[key] = bad
    [answer] = await JudgeDesk(judge, Metrics(), store=shelf).answer([wrong], errand())
    assert not answer.cached
    assert name_of(answer.result) == "a"


async def test_equal_solutions_in_flight_make_one_call_and_one_leaver_harms_nobody() -> None:
    judge, metrics = Held(), Metrics()
    judge.go.clear()
    desk = JudgeDesk(judge, metrics)
    asks = [asyncio.create_task(desk.answer([solution("a"), solution("b")], errand())) for _ in range(3)]
    await turns()
    asks[0].cancel()
    await turns()
    judge.go.set()
    answers = [await ask for ask in asks[1:]]
    assert judge.asked == [["a", "b"]]
    assert [[name_of(answer.result) for answer in part] for part in answers] == [["a", "b"]] * 2
    assert metrics.registry.get_sample_value("sgpo_single_flight_hits_total") == 4


async def test_when_the_last_caller_leaves_the_call_ends_and_the_gauges_are_empty() -> None:
    judge, metrics = Held(), Metrics()
    judge.go.clear()
    desk = JudgeDesk(judge, metrics, max_concurrent_calls=1)
    asks = [asyncio.create_task(desk.answer([solution(name)], errand())) for name in "aabb"]
    await turns()
    names = ("sgpo_queue_items", "sgpo_judge_items_in_flight")
    assert [metrics.registry.get_sample_value(name) for name in names] == [1, 1]
    for ask in asks:
        ask.cancel()
    await turns(10)
    assert [metrics.registry.get_sample_value(name) for name in names] == [0, 0]
    assert judge.asked == [["a"]]
    assert metrics.registry.get_sample_value("sgpo_judge_calls_total", {"result": "abandoned"}) == 1


async def test_what_was_finished_before_the_deadline_is_kept_for_the_retry() -> None:
    judge, shelf = Held(), Shelf()
    desk = JudgeDesk(judge, Metrics(), 1, store=shelf, settings=BatchingSettings(max_batch_items=1))
    judge.lets_go_once = True
    waiting = asyncio.create_task(desk.answer([solution("a"), solution("b")], errand()))
    while len(judge.asked) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    judge.go.set()
    [a, b] = await desk.answer([solution("a"), solution("b")], errand())
    assert (a.cached, b.cached) == (True, False)
    await desk.aclose()


async def test_a_follower_outlives_the_deadline_of_its_leader() -> None:
    judge = Held()
    judge.go.clear()
    desk = JudgeDesk(judge, Metrics())
    now = asyncio.get_running_loop().time()
    leader = asyncio.create_task(desk.answer([solution("a")], errand(now + 0.05)))
    await turns()
    follower = asyncio.create_task(desk.answer([solution("a")], errand()))
    [late] = await leader
    assert getattr(late.result, "reason", None) is UnscoredReason.JUDGE_TIMEOUT
    judge.go.set()
    [answer] = await follower
    assert name_of(answer.result) == "a"
    assert judge.asked == [["a"]]


async def test_requests_are_admitted_whole_or_not_at_all() -> None:
    metrics = Metrics()
    desk = JudgeDesk(Held(), metrics, settings=BatchingSettings(max_queued_items=5))
    with desk.admit(3), desk.admit(2):
        assert metrics.registry.get_sample_value("sgpo_admitted_items") == 5
        with pytest.raises(ApiError) as refused, desk.admit(1):
            raise AssertionError
    assert (refused.value.status, refused.value.code) == (503, "overloaded")
    assert refused.value.headers == {"retry-after": "2"}
    assert metrics.registry.get_sample_value("sgpo_admitted_items") == 0
    with desk.admit(5):
        pass
    with pytest.raises(ApiError) as never, desk.admit(6):
        raise AssertionError
    assert never.value.status == 422
    assert "max_queued_items" in never.value.message


async def test_a_full_queue_without_admission_is_unscored() -> None:
    judge = Held()
    judge.go.clear()
    desk = JudgeDesk(judge, Metrics(), settings=BatchingSettings(max_queued_items=2))
    waiting = asyncio.create_task(desk.answer([solution("a"), solution("b")], errand()))
    await asyncio.sleep(0)
    results = await desk.ask([solution("c"), solution("d"), solution("e")], FAR, Timing())
    assert [getattr(result, "reason", None) for result in results] == [UnscoredReason.JUDGE_UNAVAILABLE] * 3
    judge.go.set()
    assert [name_of(answer.result) for answer in await waiting] == ["a", "b"]


async def test_an_open_breaker_answers_what_is_cached_and_asks_for_nothing_else() -> None:
    judge, shelf, breaker = Held(), Shelf(), Breaker(1, 3600.0)
    desk = JudgeDesk(judge, Metrics(), store=shelf, breaker=breaker)
    await desk.answer([solution("a")], errand())
    await turns()
    breaker.failed()
    [known, new] = await desk.answer([solution("a"), solution("b")], errand())
    assert name_of(known.result) == "a"
    assert getattr(new.result, "reason", None) is UnscoredReason.JUDGE_UNAVAILABLE
    assert judge.asked == [["a"]]


async def test_a_failing_judge_is_unscored_for_all_who_share() -> None:
    judge = Held()
    judge.error = BackendError("down")
    desk = JudgeDesk(judge, Metrics(), store=Shelf())
    results = await asyncio.gather(*(desk.ask([solution("a")], FAR, Timing()) for _ in range(3)))
    assert [getattr(result, "reason", None) for [result] in results] == [UnscoredReason.JUDGE_UNAVAILABLE] * 3
    assert await desk.ask([], FAR, Timing()) == []
