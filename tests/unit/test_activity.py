"""Counts in stretches of ten seconds: what goes where, and what falls out of the hour."""

from __future__ import annotations

import pytest

from reward_server.schemas import GroupIn, GroupOut, ResponseOut
from reward_server.web.activity import BUCKET_S, NUM_BUCKETS, Activity
from reward_server.web.feed import Feed
from reward_server.web.recent import RecentGroups, ScoredGroup


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def group(*rewards: float | None, all_negative: bool = False, rescued: bool = False) -> ScoredGroup:
    responses = [
        ResponseOut(id=str(index), reward=reward, acc=None, status="unscored" if reward is None else "wrong")
        for index, reward in enumerate(rewards)
    ]
    return ScoredGroup(
        asked=GroupIn(group_id="g", problem="p", responses=[]),
        out=GroupOut(group_id="g", all_negative=all_negative, responses=responses),
        verdicts={},
        rescued=rescued,
    )


def test_each_count_counts_its_own(clock: Clock) -> None:
    activity = Activity(lambda: 7, clock)
    rescued = group(0.1, 0.2, None, all_negative=True, rescued=True)
    activity.saw([rescued, group(0.1, 0.1, all_negative=True), group(1.0, 0.0)], judge_s=1.5)
    activity.saw([group(None)], judge_s=0.25)
    expected = {
        "groups": 4,
        "responses": 8,
        "all_negative": 2,
        "rescued": 1,
        "unscored": 2,
        "judge_s": 1.75,
        "queue": 7,
    }
    assert {name: values[-1] for name, values in activity.series().items()} == expected
    assert activity.totals_out() == expected


def test_a_new_stretch_begins_every_ten_seconds(clock: Clock) -> None:
    activity = Activity(lambda: 0, clock)
    activity.saw([group(0.0)], 0)
    clock.now += BUCKET_S
    activity.saw([group(0.0), group(0.0)], 0)
    clock.now += 2 * BUCKET_S
    assert activity.series()["groups"] == [1, 2, 0, 0]
    clock.now += BUCKET_S - 0.001
    assert activity.series()["groups"] == [1, 2, 0, 0]


def test_an_hour_is_kept_and_no_more(clock: Clock) -> None:
    activity = Activity(lambda: 0, clock)
    for index in range(NUM_BUCKETS + 5):
        activity.saw([group(0.0)] * index, 0)
        clock.now += BUCKET_S
    series = activity.series()["groups"]
    assert len(series) == NUM_BUCKETS
    assert series == [*range(6, NUM_BUCKETS + 5), 0]
    clock.now += 100 * NUM_BUCKETS * BUCKET_S
    assert activity.series()["groups"] == [0] * NUM_BUCKETS
    assert activity.totals.groups == sum(range(NUM_BUCKETS + 5))


def test_a_queue_is_seen_while_nothing_finishes(clock: Clock) -> None:
    waiting = [0]
    activity = Activity(lambda: waiting[0], clock)
    waiting[0] = 40
    assert activity.series()["queue"] == [40]
    waiting[0] = 3
    assert activity.series()["queue"] == [40]
    clock.now += BUCKET_S
    assert activity.series()["queue"] == [40, 3]


def test_the_feed_tells_both(clock: Clock) -> None:
    feed = Feed(Activity(lambda: 0, clock), RecentGroups(5, 1 << 20))
    feed.saw([group(0.0), group(0.5)], 0.5, "a")
    assert feed.activity.totals.groups == len(feed.recent.of("a")) == 2
    assert feed.activity.totals.judge_s == 0.5
