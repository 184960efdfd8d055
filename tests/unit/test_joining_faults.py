"""What becomes of groups whose members do not come, whose judgement fails, or for which there is no room."""

from __future__ import annotations

import asyncio
import logging

import pytest

from reward_server.joining.parts import Draining, JoinerFull
from tests.unit.join_calls import Room, all_of, settle

SOON = 0.05


async def test_an_incomplete_group_is_answered_at_its_members_earliest_deadline() -> None:
    room = Room()
    tasks = [room.send("a", wait=3600), room.send("b", wait=SOON)]
    assert await all_of(*tasks) == ["a in a+b part", "b in a+b part"]
    assert room.count("sgpo_join_groups_total", result="incomplete") == 1


async def test_a_straggler_is_answered_at_once_and_by_the_same_rule() -> None:
    room = Room()
    await all_of(room.send("a", wait=SOON), room.send("b", wait=SOON))
    room.joiner._groups["", "g"][0].seats_until += 3600  # the window lasts, however slow this machine is
    assert await all_of(room.send("c")) == ["c in c part"]
    assert await all_of(room.send("c")) == ["c in c part"]
    assert room.count("sgpo_join_members_total", kind="straggler") == 1
    fourth = room.send("d")
    await settle()
    assert not fourth.done(), "all three seats are taken: the next group"
    fourth.cancel()


async def test_a_straggler_while_the_rest_is_judged() -> None:
    room = Room()
    room.judge.gate.clear()
    first = room.send("a", wait=SOON)
    await room.judge.asked.wait()
    late = room.send("b")
    await settle()
    room.judge.gate.set()
    assert await all_of(first, late) == ["a in a part", "b in b part"]
    assert room.count("sgpo_join_held_bytes") == 0


async def test_after_the_straggler_window_the_key_is_a_new_group() -> None:
    room = Room()
    await all_of(room.send("a", wait=SOON), room.send("b", wait=SOON))
    room.joiner._groups["", "g"][0].seats_until = 0.0
    tasks = [room.send(text) for text in "cde"]
    assert await all_of(*tasks) == [f"{text} in c+d+e whole" for text in "cde"]


async def test_a_settled_group_that_stays_incomplete_is_no_loss() -> None:
    room = Room()
    assert await all_of(room.send("a", right=True, wait=SOON), room.send("b", wait=SOON)) == ["mixed:a", "mixed:b"]
    await room.judge.asked.wait()
    assert room.count("sgpo_join_groups_total", result="settled") == 1
    assert await all_of(room.send("c")) == ["mixed:c"]


@pytest.mark.parametrize("how", ["unscored", "raise"])
async def test_a_failed_group_is_judged_again_whole_at_the_first_retry(how: str) -> None:
    room = Room()
    room.judge.fail = [how]
    results = await asyncio.gather(*(room.send(text) for text in "abc"), return_exceptions=True)
    assert all(isinstance(each, RuntimeError) or str(each).startswith("failed:") for each in results)
    room.judge.gate.clear()
    retries = [room.send("b"), room.send("a")]
    await settle()
    room.judge.gate.set()
    assert await all_of(*retries) == ["b in a+b+c whole", "a in a+b+c whole"]
    assert room.judge.calls == [(("a", "b", "c"), True)] * 2
    assert await all_of(room.send("c")) == ["c in a+b+c whole"]
    assert room.count("sgpo_join_members_total", kind="new") == 3
    assert room.count("sgpo_join_open_groups") == 0
    assert room.count("sgpo_join_held_bytes") == 0


async def test_a_missing_member_completes_a_failed_group() -> None:
    room = Room()
    room.judge.fail = ["unscored"]
    await all_of(room.send("a", wait=SOON), room.send("b", wait=SOON))
    assert await all_of(room.send("c")) == ["c in a+b+c whole"]
    assert await all_of(room.send("a")) == ["a in a+b+c whole"]


async def test_a_failed_straggler_may_come_again() -> None:
    room = Room()
    await all_of(room.send("a", wait=SOON), room.send("b", wait=SOON))
    room.joiner._groups["", "g"][0].seats_until += 3600
    room.judge.fail = ["unscored", "raise"]
    assert await all_of(room.send("c")) == ["failed:c"]
    with pytest.raises(RuntimeError):
        await all_of(room.send("c"))
    assert await all_of(room.send("c")) == ["c in c part"]


async def test_a_failed_group_is_forgotten_with_its_texts() -> None:
    room = Room(keep_answers_s=0)
    room.judge.fail = ["unscored"]
    await all_of(*(room.send(text) for text in "abc"))
    room.joiner._forget()
    assert room.count("sgpo_join_held_bytes") == 0
    assert not room.joiner._groups


async def test_a_judges_bug_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    room.judge.fail = ["raise"]
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError):
        await all_of(*(room.send(text) for text in "abc"))
    assert "RuntimeError" in caplog.text
    assert "quokka" not in caplog.text


async def test_a_wrong_number_of_answers_leaves_nobody_waiting() -> None:
    room = Room()
    inner = room.judge.judge

    async def short(*args: object, **kwargs: object) -> object:
        judged = await inner(*args, **kwargs)  # type: ignore[arg-type]
        return type(judged)(judged.answers[:-1])

    room.judge.judge = short  # type: ignore[method-assign,assignment]
    results = await asyncio.wait_for(asyncio.gather(*(room.send(text) for text in "abc"), return_exceptions=True), 60)
    assert isinstance(results[2], ValueError)


async def test_no_more_groups_than_the_settings_allow() -> None:
    room = Room(max_open_groups=2)
    tasks = [room.send("a", key="1"), room.send("a", key="2")]
    await settle()
    with pytest.raises(JoinerFull, match="max_open_groups"):
        await room.send("a", key="3")
    assert room.count("sgpo_join_refused_total") == 1
    await all_of(tasks[0], room.send("b", key="1"), room.send("c", key="1"))
    last = room.send("a", key="3")
    await settle()
    assert not last.done()
    for task in (tasks[1], last):
        task.cancel()


async def test_no_more_bytes_than_the_settings_allow() -> None:
    room = Room(max_held_bytes=1024)
    first = room.send("a" * 1000, key="1")
    await settle()
    with pytest.raises(JoinerFull, match="max_held_bytes"):
        await room.send("b" * 1000, key="2")
    second = room.send("b" * 1000, key="1")
    await settle()
    assert room.count("sgpo_join_held_bytes") == 2000, "members of open groups still get in, up to twice as much"
    with pytest.raises(JoinerFull):
        await room.send("c" * 1000, key="1")
    for task in (first, second):
        task.cancel()


async def test_draining_sends_those_away_who_would_wait_in_vain() -> None:
    room = Room()
    waiting = room.send("a")
    judged = [room.send(text, key="h") for text in "abc"]
    room.judge.gate.clear()
    await settle()
    room.joiner.drain()
    with pytest.raises(Draining):
        await asyncio.wait_for(waiting, 60)
    with pytest.raises(Draining):
        await room.send("b")
    room.judge.gate.set()
    assert len(await all_of(*judged)) == 3


async def test_closing_leaves_nobody_waiting_and_no_task() -> None:
    room = Room()
    room.judge.gate.clear()
    tasks = [room.send(text) for text in "abc"]
    await settle()
    await room.joiner.aclose()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
    assert all(isinstance(each, Draining) for each in results)
