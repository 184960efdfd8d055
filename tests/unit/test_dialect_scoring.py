"""One response at a time, scored: whole groups, incomplete ones, single ones, and what happens without a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from judge.errors import ConfigError
from judge.shaping import ApplyTo
from judge.types import Solution, Unscored, UnscoredReason, Verdict
from reward_server.app import create_app
from reward_server.config import ServerConfig
from reward_server.edge.auth import KeyRing
from reward_server.errors import ApiError
from tests.unit.scorer_calls import scoring
from tests.unit.service_calls import A, B, C, F, T, scripted

FLOOR = 0.003346
"""The least that a judged response can earn, with the default curve."""


class Faulty:
    """The scripted judge, but unable to judge texts with certain words, for as often as it is told."""

    def __init__(self, reason: UnscoredReason, word: str, times: int = 1_000) -> None:
        self.inner = scripted()
        self.reason, self.word, self.times = reason, word, times

    @property
    def judge_id(self) -> str:
        return self.inner.judge_id

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        results = await self.inner.judge(batch)
        fails = self.times > 0 and any(self.word in " ".join(each.steps) for each in batch)
        self.times -= fails
        return [
            Unscored(self.reason, "faulty", self.judge_id) if fails and self.word in " ".join(each.steps) else result
            for each, result in zip(batch, results, strict=True)
        ]

    async def aclose(self) -> None:
        pass


DOWN, NOTHING = UnscoredReason.JUDGE_UNAVAILABLE, UnscoredReason.NO_EVIDENCE
OPENRLHF: dict[str, Any] = {"join_timeout_s": 0.05}


async def test_an_all_negative_group_earns_what_its_steps_are_worth() -> None:
    async with scoring(scripted()) as desk:
        answers = await desk.group((A, F), (B, F), (C, F))
        assert [answer.reward for answer in answers] == await desk.whole(A, B, C)
        assert 1 > (answers[1].reward or 0) > (answers[0].reward or 0) > (answers[2].reward or 0) > 0
        assert [answer.numbers()["group_all_negative"] for answer in answers] == [1, 1, 1]
        assert [answer.first_error for answer in answers] == [1, 3, 0]
        assert desk.parked == 3
        assert desk.registry.get_sample_value("sgpo_groups_total") == 2, "one joined, and the one to compare with"


async def test_a_mixed_group_earns_its_outcomes_and_costs_no_judge() -> None:
    async with scoring(scripted()) as desk:
        answers = await desk.group((A, F), (B, T), (C, F))
        assert [answer.reward for answer in answers] == [0, 1, 0]
        assert {answer.numbers()["group_all_negative"] for answer in answers} == {0}
        assert not desk.judge.asked
        await asyncio.sleep(0.2)
        assert desk.registry.get_sample_value("sgpo_groups_total") == 1, "seen whole, once"


async def test_outcomes_come_from_the_reference_answer() -> None:
    async with scoring(scripted()) as desk:
        right = A + "\nThe answer is \\boxed{42}."
        answers = await desk.group((right, None), (B + "\nThe answer is \\boxed{41}.", None), answer="42")
        assert [(answer.reward, answer.acc) for answer in answers] == [(1, True), (0, False)]


async def test_without_a_size_each_is_scored_by_itself_and_says_so() -> None:
    async with scoring(scripted()) as desk:
        answer = await desk.send(A)
        [alone] = await desk.whole(A, apply_to="every_wrong", complete=False)
        assert (answer.reward, answer.grouping, answer.all_negative) == (alone, "alone", False)
        assert (await desk.send(A, T)).reward == 1
        assert desk.parked == 0
    async with scoring(scripted(), shaping={"apply_to": "none"}) as desk:
        assert (await desk.send(A)).reward == 0


@pytest.mark.parametrize(
    ("rule", "apply_to", "judged"),
    [("outcome", "none", 0), ("each_wrong", "every_wrong", 2)],
)
async def test_an_incomplete_group_follows_its_rule(rule: str, apply_to: ApplyTo, judged: int) -> None:
    async with scoring(scripted(), join={"incomplete": rule}, dialects={"openrlhf": OPENRLHF}) as desk:
        answers = await asyncio.gather(desk.send(A, size=3), desk.send(B, size=3))
        assert [answer.reward for answer in answers] == await desk.whole(A, B, apply_to=apply_to, complete=False)
        assert {answer.grouping for answer in answers} == {"incomplete"}
        assert len(desk.judge.asked) == judged


async def test_an_incomplete_group_may_be_unscored_and_its_last_member_completes_it() -> None:
    async with scoring(scripted(), join={"incomplete": "unscored"}, dialects={"openrlhf": OPENRLHF}) as desk:
        [answer] = await asyncio.gather(desk.send(A, size=2))
        assert (answer.reward, answer.reason) == (None, "group_incomplete")
        answers = [await desk.send(B, size=2), await desk.send(A, size=2)]
        assert [answer.reward for answer in answers] == await desk.whole(B, A)


async def test_an_incomplete_group_with_a_right_member_is_exact() -> None:
    async with scoring(scripted(), join={"incomplete": "each_wrong"}, dialects={"openrlhf": OPENRLHF}) as desk:
        answers = await asyncio.gather(desk.send(A, size=3), desk.send(B, T, size=3))
        assert [answer.reward for answer in answers] == [0, 1]
        assert not desk.judge.asked


async def test_a_judge_that_is_down_gives_nobody_a_number_and_a_retry_asks_again() -> None:
    async with scoring(Faulty(DOWN, "WRONG", times=1)) as desk:
        answers = await desk.group((A, F), (B, F))
        assert [(answer.reward, answer.reason) for answer in answers] == [(None, "judge_unavailable")] * 2
        answers = await desk.group((A, F), (B, F))
        assert [answer.reward for answer in answers] == await desk.whole(A, B)
        assert (
            desk.registry.get_sample_value("sgpo_dialect_fallbacks_total", {"dialect": "openrlhf", "rule": "error"})
            == 2
        )


SPARE = C + "\nA spare line here."


@pytest.mark.parametrize("rule", ["outcome", "floor", "neutral"])
@pytest.mark.parametrize(("setting", "reason"), [("on_unscored", DOWN), ("on_unjudgeable", NOTHING)])
async def test_the_whole_group_follows_the_rule_when_one_verdict_is_missing(
    setting: str, reason: UnscoredReason, rule: str
) -> None:
    async with scoring(Faulty(reason, "spare"), dialects={"openrlhf": {setting: rule}}) as desk:
        answers = await desk.group((A, F), (SPARE, F), (B, F))
        first, nothing, last = await desk.whole(A, SPARE, B)
        assert (first, last, nothing) != (None, None, None)
        assert nothing is None
        expected = {
            "outcome": [0, 0, 0],
            "floor": [FLOOR] * 3,
            "neutral": [first, ((first or 0) + (last or 0)) / 2, last],
        }
        assert [answer.reward for answer in answers] == pytest.approx(expected[rule], abs=2e-6)
        assert [answer.numbers()["fell_back"] for answer in answers] == [1, 1, 1]
        assert [answer.numbers()["judge_failed"] for answer in answers] == [0, 1, 0]


async def test_neutral_leaves_the_groups_mean_alone() -> None:
    async with scoring(Faulty(NOTHING, "spare")) as desk:
        answers = await desk.group((A, F), (SPARE, F), (B, F))
        rewards = [answer.reward or 0 for answer in answers]
        assert sum(rewards) / 3 == pytest.approx((rewards[0] + rewards[2]) / 2, abs=2e-6)
        nothing_known = await desk.group(*((f"{SPARE} {i}", F) for i in range(2)), group_id="other")
        assert [answer.reward for answer in nothing_known] == [FLOOR] * 2


async def test_what_no_retry_cures_is_no_error_for_the_siblings() -> None:
    async with scoring(Faulty(NOTHING, "spare"), dialects={"openrlhf": {"on_unjudgeable": "error"}}) as desk:
        answers = await desk.group((A, F), (SPARE, F))
        assert [answer.reward for answer in answers] == await desk.whole(A, SPARE)
        assert answers[1].reward is None
        asked = len(desk.judge.asked)
        await desk.group((A, F), (SPARE, F))
        assert len(desk.judge.asked) == asked, "the stored answers are as good"


async def test_equal_verdicts_are_bit_equal() -> None:
    async with scoring(scripted(), shaping={"beta": 3.3, "length": "characters"}) as desk:
        answers = await desk.group((A, F), (A, F))
        assert answers[0].reward == answers[1].reward
        assert len(repr(answers[0].reward)) <= 8


async def test_numbers_have_the_same_keys_and_are_finite() -> None:
    async with scoring(Faulty(NOTHING, "spare")) as desk:
        answers = [
            *await desk.group((A, F), (SPARE, F)),
            *await desk.group((A, F), (B, T), group_id="2"),
            await desk.send(A),
        ]
        assert len({tuple(answer.numbers()) for answer in answers}) == 1
        assert all(
            isinstance(value, float) and abs(value) < 1e6 for answer in answers for value in answer.numbers().values()
        )


async def test_another_size_is_a_clear_refusal() -> None:
    async with scoring(scripted()) as desk:
        first = desk.send(A, size=3)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(ApiError, match=r"labels\[0\]\.group_size: 2, but the open group of this id has size 3"):
            await desk.send(B, size=2)
        with pytest.raises(ApiError, match=r"group_size: 300, at most 256 \(\[limits\] max_responses"):
            await desk.send(B, size=300)
        first.cancel()


async def test_no_room_is_a_503() -> None:
    async with scoring(scripted(), join={"max_open_groups": 1}) as desk:
        first = desk.send(A, size=3)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(ApiError, match="max_open_groups") as caught:
            await desk.send(B, size=2, group_id="other")
        assert (caught.value.status, "retry-after" in caught.value.headers) == (503, True)
        first.cancel()


async def test_several_workers_cannot_join() -> None:
    async with scoring(scripted(), server={"workers": 2}) as desk:
        with pytest.raises(ApiError, match="group_size: this server cannot join groups"):
            await desk.send(A, size=3)
        assert (await desk.send(A)).reward is not None
    config = ServerConfig.model_validate({"server": {"workers": 2}, "dialects": {"slime": {"group_size": 8}}})
    with pytest.raises(ConfigError, match=r"\[dialects\.slime\] group_size needs \[server\] workers = 1"):
        create_app(config, scripted(), KeyRing())


async def test_a_judge_that_hangs_is_an_error_by_the_reply_deadline() -> None:
    async with scoring(scripted(delay_s=3600)) as desk:
        answers = await desk.group((A, F), (B, F), reply_in=0.2)
        assert [(answer.reward, answer.reason) for answer in answers] == [(None, "judge_timeout")] * 2
