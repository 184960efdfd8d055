"""One judge call: a bad item fails alone, an outage is not tried in halves, nonsense is no score."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.backends.base import PromptTooLong
from judge.errors import BackendError, BackendTimeout, DataError, JudgeError, ModelError
from judge.types import Solution, Unscored, UnscoredReason, Verdict
from reward_server.engine.judge_calls import JudgeCaller
from reward_server.metrics import Metrics
from tests.unit.batch_judges import name_of, solution


class Scripted:
    judge_id = "scripted"

    def __init__(self, reply: Callable[[Sequence[Solution]], list[Any]]) -> None:
        self.reply = reply
        self.sizes: list[int] = []

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        self.sizes.append(len(batch))
        return self.reply(batch)

    async def aclose(self) -> None: ...


def poisoned_by(error: Exception) -> Callable[[Sequence[Solution]], list[Any]]:
    def reply(batch: Sequence[Solution]) -> list[Any]:
        if any(one.steps[0].startswith("bad") for one in batch):
            raise error
        return [Verdict(0, "scripted", critique=one.steps[0]) for one in batch]

    return reply


@settings(max_examples=50)
@given(st.lists(st.booleans(), min_size=1, max_size=40))
async def test_bad_items_fail_alone(bad: list[bool]) -> None:
    judge = Scripted(poisoned_by(RuntimeError("a secret of the response")))
    batch = [solution(f"{'bad' if is_bad else 'good'}{i}") for i, is_bad in enumerate(bad)]
    results = await JudgeCaller(judge, Metrics())(batch)
    assert len(results) == len(batch)
    for one, is_bad, result in zip(batch, bad, results, strict=True):
        if is_bad:
            assert isinstance(result, Unscored)
            assert result.reason is UnscoredReason.JUDGE_UNAVAILABLE
            assert "secret" not in result.message
        else:
            assert name_of(result) == one.steps[0]


async def test_one_bad_item_costs_two_calls_for_each_halving() -> None:
    judge = Scripted(poisoned_by(ValueError()))
    metrics = Metrics()
    await JudgeCaller(judge, metrics)([solution("bad"), *(solution(f"good{i}") for i in range(63))])
    assert len(judge.sizes) == 1 + 2 * 6
    assert metrics.registry.get_sample_value("sgpo_judge_retried_calls_total", {"why": "bisect"}) == 6


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BackendError("down"), UnscoredReason.JUDGE_UNAVAILABLE),
        (ModelError("gone"), UnscoredReason.JUDGE_UNAVAILABLE),
        (JudgeError("no"), UnscoredReason.JUDGE_UNAVAILABLE),
        (BackendTimeout("slow"), UnscoredReason.JUDGE_TIMEOUT),
    ],
)
async def test_a_judge_that_is_down_is_asked_once(error: Exception, reason: UnscoredReason) -> None:
    judge = Scripted(poisoned_by(error))
    results = await JudgeCaller(judge, Metrics())([solution("good"), solution("bad"), solution("other")])
    assert [getattr(result, "reason", None) for result in results] == [reason] * 3
    assert judge.sizes == [3]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PromptTooLong("x"), UnscoredReason.TOO_LONG),
        (DataError("x"), UnscoredReason.JUDGE_UNAVAILABLE),
        (MemoryError(), UnscoredReason.JUDGE_UNAVAILABLE),
    ],
)
async def test_an_error_about_an_item_is_its_own(error: Exception, reason: UnscoredReason) -> None:
    results = await JudgeCaller(Scripted(poisoned_by(error)), Metrics())([solution("good"), solution("bad")])
    assert name_of(results[0]) == "good"
    assert getattr(results[1], "reason", None) is reason


@pytest.mark.parametrize("extra", [-1, 1])
async def test_the_wrong_number_of_results_is_nobodys_result(extra: int) -> None:
    judge = Scripted(lambda batch: [Verdict(0, "scripted")] * (len(batch) + extra))
    results = await JudgeCaller(judge, Metrics())([solution("a"), solution("b")])
    assert [getattr(result, "reason", None) for result in results] == [UnscoredReason.JUDGE_UNAVAILABLE] * 2
    assert judge.sizes == [2]


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(2, "s"),
        Verdict(-1, "s"),
        Verdict(0, "s", expected_rts=math.nan),
        Verdict(0, "s", confidence=math.inf),
        Verdict(0, "s", step_error_probs=(0.5,)),
        Verdict(0, "s", step_error_probs=(0.5, 1.5)),
    ],
)
async def test_an_impossible_verdict_is_no_verdict(verdict: Verdict) -> None:
    [result] = await JudgeCaller(Scripted(lambda _: [verdict]), Metrics())([solution("two steps")])
    assert isinstance(result, Unscored)
    assert result.reason is UnscoredReason.PARSE_ERROR


async def test_no_error_in_a_wrong_response_is_no_verdict() -> None:
    wrong = Solution("p", ("a",), known_wrong=True)
    [result] = await JudgeCaller(Scripted(lambda _: [Verdict(None, "s")]), Metrics())([wrong])
    assert isinstance(result, Unscored)
    assert result.reason is UnscoredReason.NO_ERROR_FOUND
