"""The last groups: bounds in number and bytes, whose they are, and names that lead nowhere else."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.types import Verdict
from reward_server.schemas import GroupIn, GroupOut, ResponseIn, ResponseOut
from reward_server.web.recent import OVERHEAD_BYTES, RecentGroups, ScoredGroup, text_bytes

PLENTY = 1 << 30


def scored(name: str, *texts: str, verdict: Verdict | None = None) -> ScoredGroup:
    responses = [ResponseIn(id=str(index), text=text) for index, text in enumerate(texts)]
    outs = [ResponseOut(id=response.id, reward=0.0, acc=0, status="wrong") for response in responses]
    return ScoredGroup(
        asked=GroupIn(group_id=name, problem="p", responses=responses),
        out=GroupOut(group_id=name, all_negative=True, responses=outs),
        verdicts={} if verdict is None else {0: verdict},
        rescued=False,
    )


def names(recent: RecentGroups, tenant: str = "") -> list[str]:
    return [kept.scored.asked.group_id for kept in recent.of(tenant)]


def test_the_newest_stand_first_and_the_oldest_go_first() -> None:
    recent = RecentGroups(3, PLENTY)
    for index in range(5):
        recent.add(scored(f"g{index}", "text"), "")
    assert names(recent) == ["g4", "g3", "g2"]


@pytest.mark.parametrize("bounds", [(0, PLENTY), (3, 0)])
def test_no_place_keeps_nothing(bounds: tuple[int, int]) -> None:
    recent = RecentGroups(*bounds)
    recent.add(scored("g", "a secret"), "")
    assert recent.of("") == []


def test_texts_take_no_more_than_the_bound() -> None:
    each = text_bytes(scored("g0", "x" * 10_000))
    recent = RecentGroups(100, 3 * each)
    for index in range(9):
        recent.add(scored(f"g{index}", "x" * 10_000), "")
    assert names(recent) == ["g8", "g7", "g6"]
    recent.add(scored("too large", "x" * (4 * each)), "")
    assert names(recent) == ["g8", "g7", "g6"]
    recent.add(scored("half", "x" * (2 * each)), "")
    assert names(recent) == ["half"]


def test_everything_that_is_kept_is_weighed() -> None:
    plain = text_bytes(scored("g", "text"))
    assert plain > OVERHEAD_BYTES
    wide = "\U0001f600" * 1000
    assert text_bytes(scored("g", wide)) - plain >= 4000
    told = Verdict(0, "j@1", step_error_probs=(0.25, 0.75) * 100, critique="c" * 1000)
    assert text_bytes(scored("g", "text", verdict=told)) - plain >= 1000 + 200 * (8 + sys.getsizeof(0.5)) - 50


def test_a_key_sees_only_its_own_groups() -> None:
    recent = RecentGroups(10, PLENTY)
    recent.add(scored("mine", "text"), "a")
    recent.add(scored("yours", "text"), "b")
    assert (names(recent, "a"), names(recent, "b"), names(recent)) == (["mine"], ["yours"], [])
    [mine] = recent.of("a")
    assert recent.get(mine.key, "a") is mine
    assert recent.get(mine.key, "b") is None
    assert recent.get(mine.key, "") is None


def test_a_name_never_leads_to_another_group() -> None:
    first, second = RecentGroups(2, PLENTY), RecentGroups(2, PLENTY)
    keys = []
    for recent in (first, second):
        for index in range(5):
            recent.add(scored(f"g{index}", "text"), "")
            keys.append(recent.of("")[0].key)
    assert len(set(keys)) == 10
    assert all(first.get(key, "") is None for key in [*keys[:3], *keys[5:]])


@given(st.lists(st.integers(0, 5000)), st.integers(0, 5), st.integers(0, 20_000))
def test_both_bounds_hold_whatever_comes(sizes: list[int], max_groups: int, max_bytes: int) -> None:
    recent = RecentGroups(max_groups, max_bytes)
    for index, size in enumerate(sizes):
        recent.add(scored(f"g{index}", "x" * size), "")
        kept = recent.of("")
        assert len(kept) <= max_groups
        assert sum(text_bytes(each.scored) for each in kept) <= max_bytes
