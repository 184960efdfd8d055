"""The scripted judge says exactly what it is told to say."""

from __future__ import annotations

import time

import pytest
from pydantic import ValidationError

from judge.errors import BackendError
from judge.judges.base import Judge
from judge.judges.scripted import ScriptedJudge, ScriptedSettings
from judge.types import Solution, Unscored, UnscoredReason, Verdict

STEPS = ("fine", "this is WRONG", "an oops, also WRONG")


async def first_error(settings: ScriptedSettings, steps: tuple[str, ...] = STEPS) -> int | None:
    [result] = await ScriptedJudge(settings).judge([Solution("p", steps)])
    assert isinstance(result, Verdict)
    return result.first_error


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (ScriptedSettings(), 1),
        (ScriptedSettings(pattern="oops"), 2),
        (ScriptedSettings(pattern="absent"), None),
        (ScriptedSettings(first_error=0), 0),
        (ScriptedSettings(first_error=0, pattern="oops"), 0),
        (ScriptedSettings(first_error=3), None),
    ],
)
async def test_script_decides_the_first_error(settings: ScriptedSettings, expected: int | None) -> None:
    assert await first_error(settings) == expected


async def test_batch_keeps_length_and_order() -> None:
    judge: Judge = ScriptedJudge()
    batch = [Solution("p", ()), Solution("p", STEPS), Solution("p", ("a",)), Solution("p", ("a",), known_wrong=True)]
    results = await judge.judge(batch)
    await judge.aclose()
    assert [getattr(result, "reason", None) for result in results] == [
        UnscoredReason.NO_STEPS,
        None,
        None,
        UnscoredReason.NO_ERROR_FOUND,
    ]


async def test_failures_on_request() -> None:
    [result] = await ScriptedJudge(ScriptedSettings(fail="unscored")).judge([Solution("p", STEPS)])
    assert isinstance(result, Unscored)
    assert result.reason is UnscoredReason.JUDGE_UNAVAILABLE
    with pytest.raises(BackendError) as raised:
        await ScriptedJudge(ScriptedSettings(fail="raise")).judge([Solution("p", STEPS)])
    assert raised.value.retryable


async def test_a_hash_tells_whose_verdict_it_is() -> None:
    judge = ScriptedJudge(ScriptedSettings(say="hash"))
    batch = [Solution("p", STEPS), Solution("q", STEPS), Solution("p", STEPS[:2])]
    first, second = await judge.judge(batch), await judge.judge(batch[::-1])
    assert first == second[::-1]
    critiques = [getattr(result, "critique", "") for result in first]
    assert len(set(critiques)) == 3
    assert [getattr(result, "first_error", None) for result in first] == [
        int(critique, 16) % len(solution.steps) for critique, solution in zip(critiques, batch, strict=True)
    ]


@pytest.mark.parametrize(("fail", "error"), [("raise", BackendError), ("bug", RuntimeError)])
async def test_it_fails_only_on_what_is_marked(fail: str, error: type[Exception]) -> None:
    judge = ScriptedJudge(ScriptedSettings.model_validate({"fail": fail, "fail_on": "oops"}))
    assert isinstance((await judge.judge([Solution("p", STEPS[:2])]))[0], Verdict)
    with pytest.raises(error):
        await judge.judge([Solution("p", STEPS[:2]), Solution("p", STEPS)])


async def test_delay_is_waited_once_a_batch() -> None:
    started = time.perf_counter()
    await ScriptedJudge(ScriptedSettings(delay_s=0.2)).judge([Solution("p", STEPS)] * 100)
    assert 0.2 <= time.perf_counter() - started < 10


def test_judge_id_follows_what_is_said_and_not_how_fast() -> None:
    plain, slow, other = ScriptedSettings(), ScriptedSettings(delay_s=1), ScriptedSettings(pattern="oops")
    ids = [ScriptedJudge(settings).judge_id for settings in (plain, slow, other)]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("bad", [{"first_error": -1}, {"delay_s": -1}, {"fail": "often"}, {"speed": 1}])
def test_bad_settings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ScriptedSettings.model_validate(bad)
