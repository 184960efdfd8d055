"""The canary round: a sound judge passes, one that believes everything or nothing is found out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from prometheus_client import CollectorRegistry

from judge.types import Solution, Unscored, UnscoredReason, Verdict
from reward_server.readiness import Readiness
from reward_server.watch.canary import GOOD, KEYS, WRONG, CanaryWatch
from reward_server.watch.settings import CanarySettings

Say = Callable[[Solution], Verdict | Unscored]
NUM = len(WRONG) + len(KEYS) + len(GOOD)


class Saying:
    """A judge that says what it is told to."""

    judge_id = "saying@1"

    def __init__(self, say: Say) -> None:
        self.say = say
        self.asked = asyncio.Event()
        self.rounds = 0
        self.told: list[Solution] = []

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        self.told = list(batch)
        self.rounds += len(batch) == NUM
        if self.rounds >= 2:
            self.asked.set()
        return [self.say(solution) for solution in batch]

    async def aclose(self) -> None: ...


def sound(solution: Solution) -> Verdict:
    return Verdict(None if solution.steps in GOOD else len(solution.steps) - 1, "saying@1")


def watch(judge: Saying, **settings: float) -> CanaryWatch:
    return CanaryWatch(judge, CanarySettings.model_validate(settings), CollectorRegistry())


@pytest.mark.parametrize(
    ("say", "believed", "refused", "fault"),
    [
        (sound, 0, 0, None),
        (lambda _: Verdict(None, "j"), 1, 0, "believes 100%"),
        (lambda _: Verdict(0, "j"), 0, 1, "finds errors in 100%"),
        (lambda _: Unscored(UnscoredReason.JUDGE_UNAVAILABLE, "m", "j"), None, None, None),
        (lambda s: Verdict(None, "j") if s.steps in KEYS else sound(s), len(KEYS) / (NUM - len(GOOD)), 0, "believes"),
    ],
)
async def test_a_round(say: Say, believed: float | None, refused: float | None, fault: str | None) -> None:
    judge = Saying(say)
    canary = watch(judge)
    found = await canary.ask()
    assert (found.believed, found.refused) == (believed, refused)
    said = canary.fault()
    assert said is None if fault is None else said is not None and fault in said
    assert len(judge.told) == NUM
    assert not any(solution.known_wrong for solution in judge.told), "a judge that is told cannot be caught"


async def test_readiness_says_degraded_until_the_judge_is_sound_again() -> None:
    judge = Saying(lambda _: Verdict(None, "j"))
    canary = watch(judge)
    readiness = Readiness(judge, strict=False, timeout_s=60, cache_s=0, canary=canary)
    assert await readiness.fault() is None
    await canary.ask()
    fault = await readiness.fault()
    assert fault is not None
    assert fault.startswith("degraded: the judge believes")
    judge.say = sound
    await canary.ask()
    assert await readiness.fault() is None


async def test_rounds_go_on_in_the_background_and_end_with_the_app() -> None:
    judge = Saying(sound)
    settings = CanarySettings(enabled=True, every_s=1, timeout_s=1)
    canary = CanaryWatch(judge, settings, CollectorRegistry())
    async with asyncio.timeout(60), canary.running():
        await judge.asked.wait()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_nothing_is_asked_unless_it_is_switched_on() -> None:
    judge = Saying(sound)
    async with watch(judge).running():
        await asyncio.sleep(0.01)
    assert judge.told == []


def test_a_round_must_fit_between_two() -> None:
    with pytest.raises(ValueError, match="timeout_s <= every_s"):
        CanarySettings(enabled=True, every_s=10, timeout_s=20)
