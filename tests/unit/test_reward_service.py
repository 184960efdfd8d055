"""The group rule as served, without HTTP: what is judged, what it earns, and what is counted."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence

import pytest

from judge.types import Solution, Unscored, Verdict
from reward_server.errors import ApiError
from tests.unit.service_calls import A, Ask, B, C, Counting, F, T, group, scripted, serving, text


@pytest.fixture
async def serve() -> AsyncIterator[Ask]:
    async with serving() as ask:
        yield ask


def shaped(rts: float, beta: float = 10, gamma: float = 0.5, cap: float = 0.5) -> float:
    """The paper's formula, written a second time."""
    return cap / (1 + math.exp(-beta * (rts - gamma)))


@pytest.mark.parametrize(
    ("apply_to", "outcomes", "statuses", "rewards", "judged"),
    [
        # all wrong: every one is judged
        ("all_negative", [F, F, F], "judged judged judged", [shaped(1 / 4), shaped(3 / 4), shaped(0)], 3),
        # mixed: the paper's rule pays wrong responses 0 and asks no judge
        ("all_negative", [F, T, F], "wrong correct wrong", [0, 1, 0], 0),
        ("all_negative", [T, T, T], "correct correct correct", [1, 1, 1], 0),
        # an unknown outcome: unscored, and nobody can say that the group is all-negative
        ("all_negative", [F, None, F], "wrong unscored wrong", [0, None, 0], 0),
        # of 4 and 5 steps the usual length is 4.5
        ("every_wrong", [F, T, F], "judged correct judged", [shaped(1 / 4.5), 1, shaped(0)], 2),
        ("every_wrong", [F, None, F], "judged unscored judged", [shaped(1 / 4.5), None, shaped(0)], 2),
        ("every_wrong", [F, F, F], "judged judged judged", [shaped(1 / 4), shaped(3 / 4), shaped(0)], 3),
        ("none", [F, F, F], "wrong wrong wrong", [0, 0, 0], 0),
        ("none", [F, T, None], "wrong correct unscored", [0, 1, None], 0),
    ],
)
async def test_the_group_rule(
    serve: Ask, apply_to: str, outcomes: list[bool | None], statuses: str, rewards: list[float | None], judged: int
) -> None:
    judge = Counting(scripted())
    reply = await serve(
        judge, group(*zip([A, B, C], outcomes, strict=True)), shaping={"apply_to": apply_to, "length": "steps"}
    )
    [out] = reply.groups
    assert [response.id for response in out.responses] == ["0", "1", "2"]
    assert " ".join(response.status for response in out.responses) == statuses
    assert [response.reward for response in out.responses] == pytest.approx(rewards)
    assert [response.acc for response in out.responses] == [None if o is None else int(o) for o in outcomes]
    assert out.all_negative is (outcomes == [F, F, F])
    assert len(judge.asked) == judged
    assert all(solution.known_wrong for solution in judge.asked)


async def test_outcomes_come_from_the_reference_answer(serve: Ask) -> None:
    right = text(3, None) + "\nThe answer is \\boxed{42}."
    wrong = text(3, None) + "\nThe answer is \\boxed{41}."
    reply = await serve(scripted(), group((right, None), (wrong, None), (wrong, True), reference_answer="42"))
    assert [response.status for response in reply.groups[0].responses] == ["correct", "wrong", "correct"]


async def test_a_response_without_any_outcome_is_unscored_and_says_what_to_send(serve: Ask) -> None:
    reply = await serve(scripted(), group((A, None)))
    [out] = reply.groups[0].responses
    assert (out.status, out.reward, out.acc) == ("unscored", None, None)
    assert out.error is not None
    assert out.error.code == "no_answer"
    assert "reference_answer" in out.error.message


@pytest.mark.parametrize("empty", ["", " \n\t ", "---\n***", "\u200b\u202e"])
@pytest.mark.parametrize("floor", [True, False])
async def test_an_empty_response_is_at_the_floor_and_unscored_without_one(serve: Ask, empty: str, floor: bool) -> None:
    judge = Counting(scripted())
    config = {"defences": {"floor": floor}}
    reply = await serve(judge, group((empty, None), (A, F), reference_answer="42"), config=config)
    [out, other] = reply.groups[0].responses
    assert reply.groups[0].all_negative
    assert (out.acc, out.num_steps, out.first_error, out.rts_raw) == (0, 0, None, None)
    if floor:
        assert (out.status, out.rts, out.reward) == ("wrong", 0, pytest.approx(shaped(0)))
        assert out.flags[:3] == ["no_answer", "too_short", "content_free"]
    else:
        assert (out.status, out.rts, out.reward) == ("unscored", None, None)
        assert out.error is not None
        assert out.error.code == "no_steps"
    assert other.status == "judged"
    assert len(judge.asked) == 1


async def test_judge_calls_are_bounded(serve: Ask) -> None:
    class Watch(Counting):
        now = most = 0

        async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                return await super().judge(batch)
            finally:
                self.now -= 1

    judge = Watch(scripted(delay_s=0.02))
    groups = [group((A, F), group_id=str(index), problem=str(index)) for index in range(12)]
    reply = await serve(judge, *groups, config={"server": {"max_concurrent_judge_calls": 3}})
    assert judge.most == 3
    assert [out.group_id for out in reply.groups] == [str(index) for index in range(12)]
    assert all(out.responses[0].status == "judged" for out in reply.groups)
    assert reply.timing_s.queue > 0


@pytest.mark.parametrize(
    ("unit", "rts"),
    [("steps", 1 / 2), ("characters", 40 / (40 + 20)), ("tokens", 8 / (8 + 2))],
)
async def test_the_share_is_counted_in_the_requested_unit(serve: Ask, unit: str, rts: float) -> None:
    first, second = "one two three four five six seven eight.", "WRONG-as-can-be 4=19"
    assert (len(first), len(second)) == (40, 20)
    reply = await serve(scripted(), group((f"{first}\n{second}", F)), shaping={"length": unit, "beta": 3, "cap": 0.9})
    [out] = reply.groups[0].responses
    assert (out.first_error, out.num_steps) == (1, 2)
    assert out.rts == pytest.approx(rts)
    assert out.reward == pytest.approx(shaped(rts, beta=3, cap=0.9))


async def test_offsets_lead_back_into_the_text(serve: Ask) -> None:
    padded = "  " + text(3, 1).replace("\n", "\r\n\r\n") + "\n\n"
    reply = await serve(scripted(), group((padded, F), (padded, T)), include_steps=True)
    for out in reply.groups[0].responses:
        assert out.step_offsets is not None
        assert [padded[start:end] for start, end in out.step_offsets] == text(3, 1).split("\n")
        assert out.num_steps == 3
    reply = await serve(scripted(), group((padded, F)))
    assert reply.groups[0].responses[0].step_offsets is None


async def test_the_rule_for_whole_groups_refuses_parts(serve: Ask) -> None:
    with pytest.raises(ApiError, match=r"^groups\[1\]\.complete: .*every_wrong"):
        await serve(scripted(), group((A, F)), group((A, F), complete=False))
    reply = await serve(scripted(), group((A, F), complete=False), shaping={"apply_to": "every_wrong"})
    assert not reply.groups[0].all_negative
    assert reply.groups[0].responses[0].status == "judged"


async def test_the_defended_share_is_paid_and_the_plain_one_is_told(serve: Ask) -> None:
    steps = [
        "There are 3 * 4 = 12 pens.",
        "That is: 3 * 4 = 12 pens.",
        "Let me think.",
        "Left are 12 - 2 = 11: WRONG.",
        "#### 11",
    ]
    both = [group(("\n".join(steps), F))]
    [out] = (await serve(scripted(), *both)).groups[0].responses
    # 12 is worth something, the repetition and the thought are not; "#### 11" is part of the wrong step.
    assert (out.first_error, out.num_steps, out.rts, out.rts_raw) == (3, 4, 1 / 2, 3 / 4)
    assert (out.flags, out.reward) == (["repeated_steps", "talk"], pytest.approx(shaped(1 / 2)))
    [out] = (await serve(scripted(), *both, config={"defences": {"enabled": False}})).groups[0].responses
    assert (out.rts, out.rts_raw, out.flags) == (3 / 4, 3 / 4, [])


async def test_a_reference_solution_sets_the_least_length(serve: Ask) -> None:
    longer = text(8, None)
    asked = group((A, F), reference_solution=longer, problem="What is 42?")
    shares = {"steps": 1 / 8, "characters": len(A.split("\n")[0]) / len(longer.replace("\n", "")), "tokens": 8 / 64}
    for unit, share in shares.items():
        [out] = (await serve(scripted(), asked, shaping={"length": unit})).groups[0].responses
        assert out.rts == pytest.approx(share)
    assert out.rts_raw == pytest.approx(8 / 31)


async def test_nothing_in_is_nothing_out(serve: Ask) -> None:
    assert (await serve(scripted())).groups == []
    [out] = (await serve(scripted(), group())).groups
    assert (out.all_negative, out.responses) == (False, [])


async def test_rescued_groups_are_those_whose_rewards_differ(serve: Ask) -> None:
    judge = scripted()
    await serve(
        judge,
        group((A, F), (B, F)),  # rescued
        group((A, F), (A, F)),  # the same reward twice teaches nothing
        group((A, F), (text(3, None), F)),  # one judged, one unscored
        group((A, F), (B, T)),  # not all-negative
    )
    registry = serve.metrics.registry  # type: ignore[attr-defined]
    values = {name: registry.get_sample_value(f"sgpo_groups{name}_total") for name in ("", "_all_negative", "_rescued")}
    assert values == {"": 4, "_all_negative": 3, "_rescued": 1}
    assert registry.get_sample_value("sgpo_responses_total", {"status": "judged"}) == 5
    assert registry.get_sample_value("sgpo_unscored_total", {"reason": "no_error_found"}) == 1
    # The second group holds nothing that the first one does not: no call of its own if it comes before the answer.
    assert registry.get_sample_value("sgpo_judge_calls_total", {"result": "ok"}) in (2, 3)
    assert registry.get_sample_value("sgpo_judge_seconds_count") in (2, 3)
