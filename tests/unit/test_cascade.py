"""The cascade: who answers, what is passed on, and what it says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.errors import BackendError, BackendTimeout, ConfigError
from judge.judges.base import Judge
from judge.judges.cascade import CascadeJudge, Stage, StageCount, StageSettings, build_cascade
from judge.judges.nested import deeper_than
from judge.types import Solution, Unscored, UnscoredReason, Usage, Verdict


class TableJudge:
    """Says what a table holds for each problem; one call costs one token."""

    def __init__(self, name: str, table: dict[str, tuple[int | None, float | None] | None]) -> None:
        self.judge_id = name
        self.table = table
        self.asked: list[list[str]] = []
        self.closed = 0

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        self.asked.append([solution.problem for solution in batch])
        return [self.one(solution.problem) for solution in batch]

    def one(self, problem: str) -> Verdict | Unscored:
        said = self.table[problem]
        usage = Usage(1, 1, 1)
        if said is None:
            return Unscored(UnscoredReason.NO_EVIDENCE, "nothing", self.judge_id, usage=usage, latency_s=0.5)
        return Verdict(said[0], self.judge_id, confidence=said[1], critique="because", usage=usage, latency_s=0.5)

    async def aclose(self) -> None:
        await asyncio.sleep(0.01)
        self.closed += 1


class Broken(TableJudge):
    """Cannot be reached."""

    def __init__(self, error: Exception) -> None:
        super().__init__("broken", {})
        self.error = error

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        raise self.error


def cascade(*judges: Judge, **rule: object) -> CascadeJudge:
    return CascadeJudge([Stage(judge, judge.judge_id, StageSettings.model_validate(rule)) for judge in judges])


def ask(judge: Judge, *problems: str) -> list[Verdict | Unscored]:
    return asyncio.run(judge.judge([Solution(problem, ("a", "b", "c")) for problem in problems]))


def test_only_what_is_open_goes_on() -> None:
    first = TableJudge("first", {"a": (0, 0.9), "b": (1, 0.79), "c": None, "d": (None, 0.8), "e": (2, None)})
    second = TableJudge("second", {"b": (2, 0.1), "c": None, "e": (None, None)})
    judge = cascade(first, second)
    a, b, c, d, e = ask(judge, "a", "b", "c", "d", "e")
    assert (first.asked, second.asked) == ([["a", "b", "c", "d", "e"]], [["b", "c", "e"]])
    assert [getattr(x, "first_error", "unscored") for x in (a, b, c, d, e)] == [0, 2, "unscored", None, None]
    assert {x.judge_id for x in (a, b, c, d, e)} == {judge.judge_id}
    assert isinstance(a, Verdict)
    assert isinstance(b, Verdict)
    assert isinstance(c, Unscored)
    assert (a.critique, b.critique, c.message) == ("first: because", "second: because", "second: nothing")
    assert (a.usage.calls, b.usage.calls, c.usage.calls) == (1, 2, 2)
    assert (a.latency_s, c.latency_s) == (0.5, 1.0)
    assert judge.counts == (StageCount("first", 5, 2), StageCount("second", 3, 3))
    assert "60.0% escalated" in judge.summary()
    assert "first answered 2 of 5, second answered 3 of 3" in judge.summary()


@pytest.mark.parametrize(
    ("said", "rule", "answers"),
    [
        ((1, None), {}, False),
        ((1, None), {"trust_without_confidence": True}, True),
        ((None, None), {"trust_without_confidence": True}, False),
        (None, {"trust_without_confidence": True, "min_confidence": 0.0}, False),
        ((1, 0.5), {"trust_without_confidence": True}, False),
        ((None, 0.8), {}, True),
        ((1, 0.3), {"min_confidence": 0.3}, True),
    ],
)
def test_when_a_stage_is_sure(
    said: tuple[int | None, float | None] | None, rule: dict[str, object], answers: bool
) -> None:
    judge = cascade(TableJudge("first", {"a": said}), TableJudge("second", {"a": (2, 0.0)}), **rule)
    [result] = ask(judge, "a")
    assert (judge.counts[0].num_answered == 1) is answers
    assert isinstance(result, Verdict)
    assert (result.first_error == 2) is not answers


@given(st.lists(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=3, max_size=3), max_size=8))
def test_agrees_with_going_through_the_stages_one_by_one(rows: list[list[float | None]]) -> None:
    problems = [str(k) for k in range(len(rows))]
    judges = [
        TableJudge(f"j{s}", {p: None if row[s] is None else (s, row[s]) for p, row in zip(problems, rows, strict=True)})
        for s in range(3)
    ]
    judge = cascade(*judges)
    for row, result in zip(rows, ask(judge, *problems), strict=True):
        stage = next((s for s in (0, 1) if row[s] is not None and row[s] >= 0.8), 2)  # type: ignore[operator]
        assert result.usage.calls == stage + 1
        assert getattr(result, "first_error", None) == (None if row[stage] is None else stage)
    answered = [count.num_answered for count in judge.counts]
    asked = [count.num_asked for count in judge.counts]
    assert sum(answered) == len(rows)
    assert asked == [len(rows), len(rows) - answered[0], len(rows) - answered[0] - answered[1]]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BackendError("down"), UnscoredReason.JUDGE_UNAVAILABLE),
        (BackendTimeout("slow"), UnscoredReason.JUDGE_TIMEOUT),
    ],
)
def test_stage_that_is_down_is_passed_over(error: BackendError, reason: UnscoredReason) -> None:
    good = TableJudge("good", {"a": (1, 1.0)})
    [result] = ask(cascade(Broken(error), good), "a")
    assert isinstance(result, Verdict)
    [result] = ask(cascade(TableJudge("weak", {"a": (1, 0.1)}), Broken(error)), "a")
    assert isinstance(result, Unscored)
    assert (result.reason, result.usage.calls) == (reason, 1)


def test_empty_batch_and_nothing_asked_yet() -> None:
    judge = cascade(TableJudge("first", {}), TableJudge("second", {}))
    assert ask(judge) == []
    assert "nothing escalated" in judge.summary()


def test_closes_every_stage_even_when_one_fails() -> None:
    class BadEnd(TableJudge):
        async def aclose(self) -> None:
            raise BackendError("cannot close")

    last = TableJudge("last", {})
    with pytest.raises(BackendError, match="cannot close"):
        asyncio.run(cascade(BadEnd("bad", {}), last).aclose())
    assert last.closed == 1


SCRIPTED = {"kind": "scripted", "first_error": 0}


async def test_built_from_tables() -> None:
    table = {"stages": [{"kind": "rules", "trust_without_confidence": True, "min_confidence": 0.5}, SCRIPTED]}
    judge = build_cascade(table, "[judge]")
    results = await judge.judge([Solution("?", ("2 apples", "3 + 4 = 8")), Solution("?", ("Hm.", "So be it."))])
    assert [getattr(result, "first_error", None) for result in results] == [1, 0]
    assert [count.name for count in judge.counts] == ["stage 0 (rules)", "stage 1 (scripted)"]
    await judge.aclose()
    others: list[dict[str, object]] = [
        {"stages": [{"kind": "rules"}, SCRIPTED]},
        {"stages": [{"kind": "rules", "min_confidence": 0.5}, SCRIPTED]},
        {"stages": [{"kind": "rules", "trust_without_confidence": True, "min_confidence": 0.5}, {"kind": "rules"}]},
    ]
    assert len({judge.judge_id, *(build_cascade(other, "x").judge_id for other in others)}) == 4


def nest(levels: int) -> dict[str, object]:
    """A table of cascades within cascades."""
    return {"kind": "cascade", "stages": [{"kind": "rules"}, nest(levels - 1) if levels else SCRIPTED]}


def test_depth_counts_every_judge_on_the_way_down() -> None:
    depths = [(SCRIPTED, 1), (nest(0), 2), (nest(1), 3), (nest(2), 4), ({"kind": "vote", "members": [nest(1)]}, 4)]
    for table, depth in depths:
        assert deeper_than(table, depth - 1)
        assert not deeper_than(table, depth)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "[judge]: 'stages' is missing"),
        ({"stages": [SCRIPTED]}, "'stages'"),
        ({"stages": [SCRIPTED, 3]}, "'stages.1' = 3"),
        ({"stages": [SCRIPTED, {"kind": "rulez"}]}, "[judge]: stages[1]: unknown judge kind 'rulez'; did you mean"),
        ({"stages": [SCRIPTED, {}]}, "[judge]: stages[1]: 'kind' is missing"),
        ({"stages": [SCRIPTED | {"min_confidence": 2}, SCRIPTED]}, "[judge]: stages[0]: 'min_confidence' = 2"),
        ({"stages": [SCRIPTED | {"first_eror": 2}, SCRIPTED]}, "[judge]: stages[0]: unknown key 'first_eror'"),
        ({"stages": [SCRIPTED, SCRIPTED | {"min_confidence": 0.5}]}, "[judge]: stages[1]: the last stage's answer"),
        ({"stages": [SCRIPTED, SCRIPTED], "stage": 1}, "unknown key 'stage'; did you mean 'stages'?"),
        (nest(2), "[judge]: stages[1]: judges within judges are more than 3 deep"),
        (nest(400), "[judge]: stages[1]: judges within judges are more than 3 deep"),
    ],
)
def test_wrong_tables_name_the_stage(table: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        build_cascade({key: value for key, value in table.items() if key != "kind"}, "[judge]")
    assert said in str(raised.value)
