"""The vote: weights, ties, and who does not vote."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.errors import BackendError, ConfigError, ModelError
from judge.judges.vote import Member, VoteJudge, build_vote
from judge.types import NO_ERROR, Solution, Unscored, UnscoredReason, Usage, Verdict
from judge.verdict_parsing import majority

STEPS = ("a", "b", "c", "d")
Said = int | UnscoredReason | Exception


class Fixed:
    """Always says the same; `NO_ERROR` for no error."""

    def __init__(self, said: Said, latency_s: float = 0.0) -> None:
        self.said = said
        self.latency_s = latency_s
        self.judge_id = f"fixed-{said}"
        self.gate: asyncio.Barrier | None = None
        self.ended = False

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.said, Exception):
            raise self.said
        return [self.one(self.said) for _ in batch]

    def one(self, said: int | UnscoredReason) -> Verdict | Unscored:
        usage = Usage(2, 1, 1)
        if isinstance(said, UnscoredReason):
            return Unscored(said, "cannot say", self.judge_id, usage=usage, latency_s=self.latency_s)
        first_error = None if said == NO_ERROR else said
        return Verdict(first_error, self.judge_id, usage=usage, latency_s=self.latency_s)

    async def aclose(self) -> None:
        self.ended = True


def vote(*members: tuple[Said, float], min_votes: int = 1, known_wrong: bool = False) -> Verdict | Unscored:
    judge = VoteJudge([Member(Fixed(said), f"m{k}", weight) for k, (said, weight) in enumerate(members)], min_votes)
    [result] = asyncio.run(judge.judge([Solution("?", STEPS, known_wrong=known_wrong)]))
    assert result.judge_id == judge.judge_id
    assert result.usage == Usage(2, 1, 1) + Usage(2, 1, 1) if len(members) == 2 else True
    return result


NONE = UnscoredReason.NO_EVIDENCE
DOWN = UnscoredReason.JUDGE_UNAVAILABLE


@pytest.mark.parametrize(
    ("members", "first_error", "share"),
    [
        ([(1, 1.0), (1, 1.0), (2, 1.0)], 1, 2 / 3),
        ([(1, 1.0), (1, 1.0), (2, 3.0)], 2, 3 / 5),
        ([(3, 1.0), (2, 1.0)], 2, 1 / 2),
        ([(NO_ERROR, 1.0), (3, 1.0)], 3, 1 / 2),
        ([(NO_ERROR, 2.0), (3, 1.0)], None, 2 / 3),
        ([(NONE, 9.0), (3, 1.0), (DOWN, 2.0)], 3, 1.0),
        ([(2, 0.1), (2, 0.2), (1, 0.3)], 1, 1 / 2),  # a tie, though 0.1 + 0.2 > 0.3 in floating point
    ],
)
def test_heaviest_step_wins_and_ties_go_to_the_earliest(
    members: list[tuple[Said, float]], first_error: int | None, share: float
) -> None:
    for order in (members, members[::-1]):
        result = vote(*order)
        assert isinstance(result, Verdict)
        assert (result.first_error, result.confidence) == (first_error, pytest.approx(share))


def test_tie_is_stated_and_a_clear_vote_states_none() -> None:
    tie = vote((3, 1.0), (NO_ERROR, 1.0), (1, 0.5))
    assert isinstance(tie, Verdict)
    assert tie.critique == "m0: step 3; m1: no error; m2: step 1; a tie of step 3, no error: the earliest wins"
    clear = vote((3, 2.0), (NO_ERROR, 1.0))
    assert isinstance(clear, Verdict)
    assert "tie" not in (clear.critique or "")


def test_no_error_is_no_vote_on_a_known_wrong_solution() -> None:
    result = vote((NO_ERROR, 5.0), (2, 1.0), known_wrong=True)
    assert isinstance(result, Verdict)
    assert (result.first_error, result.confidence) == (2, 1.0)
    nobody = vote((NO_ERROR, 5.0), (NO_ERROR, 1.0), known_wrong=True)
    assert isinstance(nobody, Unscored)
    assert nobody.reason is UnscoredReason.NO_ERROR_FOUND


@pytest.mark.parametrize(
    ("members", "min_votes", "known_wrong", "reason"),
    [
        ([NONE, NONE], 1, False, NONE),
        ([UnscoredReason.NO_STEPS, UnscoredReason.NO_STEPS], 1, False, UnscoredReason.NO_STEPS),
        ([UnscoredReason.PARSE_ERROR, UnscoredReason.TOO_LONG], 1, False, NONE),
        ([UnscoredReason.PARSE_ERROR, DOWN], 1, False, DOWN),
        ([BackendError("down"), BackendError("down")], 1, False, DOWN),
        ([2, UnscoredReason.PARSE_ERROR], 2, False, UnscoredReason.PARSE_ERROR),
        ([NO_ERROR, UnscoredReason.PARSE_ERROR], 2, False, UnscoredReason.PARSE_ERROR),
        ([2, NO_ERROR], 2, True, UnscoredReason.NO_ERROR_FOUND),
    ],
)
def test_too_few_votes_give_a_typed_reason(
    members: list[Said], min_votes: int, known_wrong: bool, reason: UnscoredReason
) -> None:
    judge = VoteJudge([Member(Fixed(said), f"m{k}", 1.0) for k, said in enumerate(members)], min_votes)
    [result] = asyncio.run(judge.judge([Solution("?", STEPS, known_wrong=known_wrong)]))
    assert isinstance(result, Unscored)
    assert result.reason is reason
    assert f"members voted, and min_votes = {min_votes}" in result.message


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=7))
def test_equal_weights_are_the_majority_of_the_critic(votes: list[int]) -> None:
    result = vote(*((said, 1.0) for said in votes))
    assert isinstance(result, Verdict)
    expected = majority(votes)
    found = NO_ERROR if result.first_error is None else result.first_error
    assert (found, result.confidence) == (expected.first_error, pytest.approx(expected.share))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), min_size=1, max_size=7))
def test_whole_weights_are_repeated_votes(votes: list[tuple[int, int]]) -> None:
    result = vote(*((said, float(weight)) for said, weight in votes))
    counts: Counter[int] = Counter()
    for said, weight in votes:
        counts[said] += weight
    assert isinstance(result, Verdict)
    assert counts[result.first_error or 0] == max(counts.values())
    assert result.confidence == pytest.approx(max(counts.values()) / counts.total())


async def test_members_work_at_the_same_time() -> None:
    """Each waits until all have been asked: one after the other this would never end."""
    fixed = [Fixed(1, 0.25), Fixed(2, 0.5)]
    gate = asyncio.Barrier(2)
    for each in fixed:
        each.gate = gate
    judge = VoteJudge([Member(each, "m", 1.0) for each in fixed])
    batch = [Solution("?", STEPS), Solution("!", STEPS)]
    first, second = await asyncio.wait_for(judge.judge(batch), timeout=20)
    assert first == second
    assert first.latency_s == 0.5
    assert first.usage.calls == 2
    assert await judge.judge([]) == []
    await judge.aclose()
    assert all(each.ended for each in fixed)


async def test_member_that_cannot_work_at_all_ends_the_vote() -> None:
    with pytest.raises(ModelError, match="no such model"):
        await VoteJudge([Member(Fixed(ModelError("no such model")), "m", 1.0), Member(Fixed(1), "n", 1.0)]).judge(
            [Solution("?", STEPS)]
        )


SCRIPTED = {"kind": "scripted", "first_error": 0}


async def test_built_from_tables() -> None:
    table = {"members": [SCRIPTED, SCRIPTED | {"first_error": 2, "weight": 1.5}, {"kind": "rules"}], "min_votes": 2}
    judge = build_vote(table, "[judge]")
    [result] = await judge.judge([Solution("?", STEPS)])
    assert isinstance(result, Verdict)
    assert (result.first_error, result.confidence) == (2, pytest.approx(0.6))
    assert result.critique == "scripted: step 0; scripted: step 2; rules: no vote (no_evidence)"
    others: list[dict[str, object]] = [
        table | {"min_votes": 1},
        {"members": [*table["members"][:2], SCRIPTED], "min_votes": 2},  # type: ignore[index]
        {"members": [SCRIPTED, SCRIPTED | {"first_error": 2}, {"kind": "rules"}], "min_votes": 2},
    ]
    assert len({judge.judge_id, *(build_vote(other, "x").judge_id for other in others)}) == 4
    await judge.aclose()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"members": [SCRIPTED]}, "'members'"),
        ({"members": [SCRIPTED, {"kind": "rulez"}]}, "[judge]: members[1]: unknown judge kind 'rulez'"),
        ({"members": [SCRIPTED | {"weight": 0}, SCRIPTED]}, "[judge]: members[0]: 'weight' = 0"),
        ({"members": [SCRIPTED | {"weight": "much"}, SCRIPTED]}, "[judge]: members[0]: 'weight' = 'much'"),
        ({"members": [SCRIPTED, SCRIPTED], "min_votes": 3}, "'min_votes' = 3: there are only 2 members"),
        ({"members": [SCRIPTED, SCRIPTED], "tie": "latest"}, "unknown key 'tie'"),
    ],
)
def test_wrong_tables_name_the_member(table: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        build_vote(table, "[judge]")
    assert said in str(raised.value)
