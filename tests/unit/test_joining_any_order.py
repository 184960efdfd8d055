"""Whatever the order, the doubles and the timing: every member gets the reward that its whole group would get."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reward_server.dialects.answers import Answer
from reward_server.schemas import RewardRequest
from tests.unit.scorer_calls import PROBLEM, Desk, scoring
from tests.unit.service_calls import scripted, text

NUMBERS = itertools.count()


class Post(NamedTuple):
    """One request: of which member, how many turns of the loop before it, and whether its client hangs up."""

    group: int
    member: int
    turns: int
    hangs_up: bool


class Running(NamedTuple):
    """A desk on a loop of its own, for all examples of a test."""

    runner: asyncio.Runner
    desk: Desk


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> Desk:
            return await stack.enter_async_context(scoring(scripted(), admission={"max_in_flight_requests": 1}))

        yield Running(runner, runner.run(start()))
        runner.run(stack.aclose())


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[list[tuple[str, bool]]], list[Post]]:
    """Groups of texts with outcomes, and requests that bring every member at least once."""
    groups = []
    for _ in range(draw(st.integers(1, 3))):
        size = draw(st.integers(1, 5))
        steps = draw(st.lists(st.tuples(st.integers(2, 6), st.integers(0, 1)), min_size=size, max_size=size))
        all_wrong = draw(st.booleans())
        groups.append(
            [
                (text(num, wrong) + f"\nThis is response {i}.", not all_wrong and draw(st.booleans()))
                for i, (num, wrong) in enumerate(steps)
            ]
        )
    members = [(g, m) for g, group in enumerate(groups) for m in range(len(group))]
    doubles = draw(st.lists(st.sampled_from(members), max_size=6))
    order = draw(st.permutations(members + doubles))
    return groups, [Post(g, m, draw(st.integers(0, 3)), draw(st.booleans())) for g, m in order]


async def play(desk: Desk, groups: list[list[tuple[str, bool]]], posts: list[Post], with_ids: bool) -> None:
    scene = next(NUMBERS)

    def send(group: int, member: int) -> asyncio.Task[Answer]:
        body, outcome = groups[group][member]
        label: dict[str, Any] = {"member_id": str(member)} if with_ids else {}
        return desk.send(body, outcome, size=len(groups[group]), group_id=f"{scene}-{group}", **label)

    kept: list[tuple[Post, asyncio.Task[Answer]]] = []
    for post in posts:
        for _ in range(post.turns):
            await asyncio.sleep(0)
        task = send(post.group, post.member)
        if post.hangs_up:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
        else:
            kept.append((post, task))
    # Those who hung up come again, as their clients would.
    for group, members in enumerate(groups):
        kept.extend((Post(group, member, 0, False), send(group, member)) for member in range(len(members)))
    answers = await asyncio.wait_for(asyncio.gather(*(task for _, task in kept)), 100)
    for (post, _), answer in zip(kept, answers, strict=True):
        assert answer.reward == (await whole(desk, groups[post.group]))[post.member]
        assert answer.grouping == "joined"


async def whole(desk: Desk, group: list[tuple[str, bool]]) -> list[float]:
    responses = [{"id": str(i), "text": body, "outcome": outcome} for i, (body, outcome) in enumerate(group)]
    request = RewardRequest.model_validate(
        {"groups": [{"group_id": "whole", "problem": PROBLEM, "responses": responses}]}
    )
    reply = await desk.rewards.score(request)
    return [round(each.reward or 0.0, 6) for each in reply.groups[0].responses]


@pytest.mark.parametrize("with_ids", [True, False])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(scene=scenes())
def test_every_member_gets_what_its_whole_group_would_give_it(
    running: Running, with_ids: bool, scene: tuple[list[list[tuple[str, bool]]], list[Post]]
) -> None:
    running.runner.run(play(running.desk, *scene, with_ids))
